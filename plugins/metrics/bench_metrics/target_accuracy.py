"""Accuracy of the targets under attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import proportion

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score


@dataclass(frozen=True)
class TargetAccuracy:
    """Share of images that the target classifies correctly, both clean and attacked on the source.

    Over all images, as `robust_accuracy` counts its source. The score `clean` is the accuracy on the clean images.
    """

    scores: ClassVar = ("accuracy", "clean")
    forwards: ClassVar = 2

    def observe(self, adversarial: Tensor, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        correct = target(clean.images).argmax(1) == clean.labels
        return {"clean": correct, "robust": correct & (target(adversarial).argmax(1) == clean.labels)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield proportion("accuracy", rows["robust"])
        yield proportion("clean", rows["clean"])


METRIC = TargetAccuracy
