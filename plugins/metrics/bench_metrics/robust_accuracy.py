"""Accuracy under attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import proportion

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score


@dataclass(frozen=True)
class RobustAccuracy:
    """Share of images that the attacked network classifies correctly, both clean and attacked.

    Counted as RobustBench does (Croce et al., 2021; arXiv:2010.09670): over all images, so that an image misclassified
    when clean is not robust, whatever the attack does. The score `clean` is the accuracy on the clean images.
    """

    scores: ClassVar = ("accuracy", "clean")

    def observe(self, adversarial: Tensor, clean: Examples, source: Model) -> Mapping[str, Tensor]:
        correct = source(clean.images).argmax(1) == clean.labels
        return {"clean": correct, "robust": correct & (source(adversarial).argmax(1) == clean.labels)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield proportion("accuracy", rows["robust"])
        yield proportion("clean", rows["clean"])


METRIC = RobustAccuracy
