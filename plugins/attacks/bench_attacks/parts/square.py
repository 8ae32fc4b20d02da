"""The Square attack (Andriushchenko et al., 2020; arXiv:1912.00049), in L-inf and L2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt, Le

from bench_core.types import Access, AttackRecipe, Budget, Cost, Examples, Rejection, Streams

from ..asking import DEVIATIONS, Best
from ..square_moves import Bars, Stripes, l2_shape_fault

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model, Norm

MOVES: Mapping[Norm, type[Stripes | Bars]] = MappingProxyType({"linf": Stripes, "l2": Bars})
HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 iterations


@dataclass(frozen=True)
class Square:
    """Change a random square of the image, and keep the change where it raises the loss.

    The first query is about stripes of random signs (L-inf) or a grid of bars (L2). The share `p` of the pixels that a
    square covers is halved nine times, after shares of the queries that the authors fixed. There are as many queries
    as the budget has steps, and each image has random squares of its own.
    """

    budget: Budget
    p: float
    access: ClassVar[Access] = "scores"
    names_rows: ClassVar[bool] = True
    all_or_nothing: ClassVar[bool] = True
    cost: ClassVar[Cost] = Cost(1, 0)
    deviations: ClassVar[Mapping[str, str]] = DEVIATIONS

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the images or the budget cannot be used, or None if they can."""
        if self.budget.norm not in MOVES:
            return Rejection("norm", f"found a budget in {self.budget.norm}, but Square is for {' and '.join(MOVES)}")
        return l2_shape_fault(shape) if self.budget.norm == "l2" else None

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        clean, moves = examples.images, MOVES[self.budget.norm](self.budget.eps, rng)
        best = Best.of(model, examples, self.budget, moves.start(clean))
        yield best.result
        iterations = self.budget.steps - 1
        for iteration in range(iterations):
            rows = best.going
            if not len(rows):
                return
            share = share_of_pixels(self.p, iteration, iterations)
            best.take(moves.trial(clean, best.images, rows, share, iteration), rows)
            yield best.result


def share_of_pixels(first: float, iteration: int, iterations: int) -> float:
    """Return the share p of the pixels that a square covers: `first`, halved as often as the schedule says."""
    of_ten_thousand = int(iteration / iterations * 10000)
    return first * 0.5 ** sum(of_ten_thousand > at for at in HALVED_AT)


def square(budget: Budget, p: Annotated[float, Gt(0), Le(1)] = 0.8) -> Square:
    return Square(budget, p)


RECIPE = AttackRecipe(square, "Random squares, by queries for scores (Andriushchenko et al., 2020).")
