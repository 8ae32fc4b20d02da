"""Transfer metrics: how often, and by how much, images made on the source move the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_core.logits import margin
from bench_core.statistics import mean, proportion

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Step


def leave_one_out(fooled: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Judge each image at the step that is best for all the others (arXiv:2010.04055, app. M).

    `fooled` [n, steps] -> outcomes [n] and the steps taken [n], from 0; ties go to the earliest step. The others'
    count at a step is the total less the image's own, so this is O(n x steps).
    """
    others = fooled.sum(axis=0, keepdims=True) - fooled
    chosen = others.argmax(axis=1)
    return fooled[np.arange(len(fooled)), chosen], chosen


@dataclass(frozen=True)
class TransferSuccess:
    """Share of images that the target misclassifies (targeted: classifies as aimed at).

    `success` takes for each image the step that is best for the others, `last` the last step, `at_step` every step.
    """

    scores: ClassVar = ("success", "last", "at_step")
    labels: ClassVar = ("step",)

    def observe(self, step: Step, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        guesses = target(step.images).argmax(1)
        return {"fooled": guesses != clean.labels if clean.targets is None else guesses == clean.targets}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        fooled = rows["fooled"].astype(bool)
        yield proportion("success", leave_one_out(fooled)[0])
        yield proportion("last", fooled[:, -1])
        for index in range(fooled.shape[1]):
            yield proportion("at_step", fooled[:, index], {"step": index + 1})


@dataclass(frozen=True)
class TransferUtility:
    """How much the margin of the target moves: `v(all) - v(empty)` (arXiv:2010.04055, sec. 3.2), in logits."""

    scores: ClassVar = ("utility",)

    def observe(self, adversarial: Tensor, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        return {"utility": margin(target(adversarial), clean.labels) - margin(target(clean.images), clean.labels)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("utility", rows["utility"])


@dataclass(frozen=True)
class CleanAccuracy:
    """Share of unperturbed images that the target classifies correctly."""

    scores: ClassVar = ("accuracy",)

    def observe(self, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        return {"correct": target(clean.images).argmax(1) == clean.labels}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield proportion("accuracy", rows["correct"])
