"""Transfer success: how often images made on the source fool the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_core.statistics import proportion

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Step


def leave_one_out(fooled: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Evaluate each image at the step that is best for all other images (arXiv:2010.04055, app. M).

    The others' count at a step is the total less the image's own, so the cost is O(n x steps).

    Of steps that are equally good for the others, the earliest is taken, as in the authors' code. With few images many
    steps are equally good, and an image may not be fooled at the earliest of them yet, so that the outcome can be far
    below that of the last step.

    Args:
        fooled: Whether the target is fooled, bool [n, steps].

    Returns:
        Outcome of each image [n], and the index of the step taken [n].
    """
    others = fooled.sum(axis=0, keepdims=True) - fooled
    chosen = others.argmax(axis=1)
    return fooled[np.arange(len(fooled)), chosen], chosen


@dataclass(frozen=True)
class TransferSuccess:
    """Share of images that the target misclassifies (targeted: classifies as the target class).

    Scores: `success` takes for each image the earliest step that is best for the others, `last` the last step;
    `at_step` is labelled by `step`, counted from 1. On fewer than about 100 images, `success` can be well below `last`
    (see `leave_one_out`).
    """

    scores: ClassVar = ("success", "last", "at_step")
    labels: ClassVar = ("step",)
    by_step: ClassVar = {"success": "at_step"}

    def observe(self, step: Step, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        predicted = target(step.images).argmax(1)
        return {"fooled": predicted != clean.labels if clean.targets is None else predicted == clean.targets}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        fooled = rows["fooled"].astype(bool)
        yield proportion("success", leave_one_out(fooled)[0])
        yield proportion("last", fooled[:, -1])
        for index in range(fooled.shape[1]):
            yield proportion("at_step", fooled[:, index], {"step": index + 1})


METRIC = TransferSuccess
