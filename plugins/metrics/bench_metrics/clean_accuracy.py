"""Accuracy on clean images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import proportion

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score


@dataclass(frozen=True)
class CleanAccuracy:
    """Share of unperturbed images that the target classifies correctly."""

    scores: ClassVar = ("accuracy",)

    def observe(self, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        return {"correct": target(clean.images).argmax(1) == clean.labels}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield proportion("accuracy", rows["correct"])


METRIC = CleanAccuracy
