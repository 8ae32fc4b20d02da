"""The size of a perturbation in three norms, whatever the norm of its budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.norms import perturbation_size
from bench_core.statistics import mean

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Norm, Rows, Score


@dataclass(frozen=True)
class Distances:
    """Distance of the adversarial from the clean image in L-inf, L2 and L0.

    Scores and rows: `linf` and `l2`, in units of the image range; `l0`, the number of pixels of which any channel
    changed by more than a millionth. Two attacks of one L-inf budget can differ in L2 as much as two budgets do.
    """

    forwards: ClassVar = 0
    scores: ClassVar = ("linf", "l2", "l0")
    rows: ClassVar[tuple[Norm, ...]] = ("linf", "l2", "l0")

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        delta = (adversarial - clean.images).double()
        return {name: perturbation_size(delta, name) for name in self.rows}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        for name in self.scores:
            yield mean(name, rows[name])


METRIC = Distances
