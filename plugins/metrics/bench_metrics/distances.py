"""The size of a perturbation in three norms, whatever the norm of its budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import mean

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score

CHANGED = 1e-6  # of the image range: less is float32 rounding, as of `clean + (adversarial - clean)`


@dataclass(frozen=True)
class Distances:
    """Distance of the adversarial from the clean image in L-inf, L2 and L0.

    Scores and rows: `linf` and `l2`, in units of the image range; `l0`, the number of pixels of which any channel
    changed by more than a millionth. Two attacks of one L-inf budget can differ in L2 as much as two budgets do.
    """

    forwards: ClassVar = 0
    scores: ClassVar = ("linf", "l2", "l0")
    rows: ClassVar = ("linf", "l2", "l0")

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        delta = (adversarial - clean.images).abs()
        return {
            "linf": delta.flatten(1).amax(1),
            "l2": delta.double().square().flatten(1).sum(1).sqrt(),
            "l0": (delta > CHANGED).any(1).flatten(1).sum(1),
        }

    def summarise(self, rows: Rows) -> Iterator[Score]:
        for name in self.scores:
            yield mean(name, rows[name])


METRIC = Distances
