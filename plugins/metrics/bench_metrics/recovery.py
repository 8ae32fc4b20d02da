"""Does the way back to the true label lead back to the image? (arXiv:2103.07364, sec. 4.3 and app. I.10, table 4)"""

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
    """Where an attack that turns back in the middle of its steps (`recover`) gets to, in Euclidean length.

    Of the moments `adversarial`, the end of the first half, and `recovered`, the end: `distance` is
    `||x - x_adv||` and `||x - x_hat||`, `right` the share of images that the source classifies correctly. `recoverable`
    is the share of images with `||x - x_hat|| <= ||x - x_adv||`, which the paper calls a high recoverability;
    `change` the mean of `||x - x_hat|| - ||x - x_adv||`, and `at_step` the distance at every step.
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
        places = {"adversarial": steps - steps // 2 - 1, "recovered": steps - 1}
        for moment, place in places.items():
            yield mean("distance", distance[:, place], {"moment": moment})
            yield proportion("right", rows["right"][:, place], {"moment": moment})
        there, back = (distance[:, place] for place in places.values())
        yield proportion("recoverable", back <= there)
        yield mean("change", back - there)
        for step in range(steps):
            yield mean("at_step", distance[:, step], {"step": step + 1})
