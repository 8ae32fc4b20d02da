"""Whether restoring the true label restores the image (arXiv:2103.07364, sec. 4.3 and app. I.10, table 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import mean, proportion

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Step


@dataclass(frozen=True)
class Recovery:
    """Distance to the clean image of an attack that reverses halfway through its steps (`recover`), in Euclidean norm.

    Scores, labelled by `moment`, which is `adversarial` at the end of the first half and `recovered` at the end:
    `distance`, `||x - x_adv||` and `||x - x_hat||`; `right`, the share of images that the source classifies correctly.
    Scores without a moment: `recoverable`, the share of images with `||x - x_hat|| <= ||x - x_adv||`, which the paper
    calls a high recoverability; `change`, the mean of `||x - x_hat|| - ||x - x_adv||`; `at_step`, the distance after
    each `step`, counted from 1.
    """

    scores: ClassVar = ("distance", "right", "recoverable", "change", "at_step")
    labels: ClassVar = ("moment", "step")

    def observe(self, step: Step, clean: Examples, source: Model) -> Mapping[str, Tensor]:
        return {
            "distance": (step.images - clean.images).flatten(1).norm(dim=1),
            "right": source(step.images).argmax(1) == clean.labels,
        }

    def summarise(self, rows: Rows) -> Iterator[Score]:
        distance, steps = rows["distance"], rows["distance"].shape[1]
        turn, end = steps - steps // 2 - 1, steps - 1
        for moment, index in (("adversarial", turn), ("recovered", end)):
            yield mean("distance", distance[:, index], {"moment": moment})
            yield proportion("right", rows["right"][:, index], {"moment": moment})
        yield proportion("recoverable", distance[:, end] <= distance[:, turn])
        yield mean("change", distance[:, end] - distance[:, turn])
        for index in range(steps):
            yield mean("at_step", distance[:, index], {"step": index + 1})


METRIC = Recovery
