"""Steps forth and back along directions, by queries: the rule of SimBA (Guo et al., 2019; arXiv:1905.07121, alg. 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from bench_core.types import Access, Budget, Cost, Examples, Rejection, Streams

from .asking import DEVIATIONS, Best
from .balls import BALLS, per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model, Norm
else:
    from bench_core.lazy import torch

NORMS: tuple[Norm, ...] = ("linf", "l2")


@dataclass(frozen=True)
class Tried:
    """What has been tried on some images.

    Attributes:
        rows: The images of the batch, int64 [k].
        points: The best image of each so far, [k, c, h, w].
        turns: The number of directions that were tried before, int64 [k].
        failed: How many of these since the last one that was kept, int64 [k].
        rivals: The strongest class besides the label in the network's answer at `points`, int64 [k].
    """

    rows: Tensor
    points: Tensor
    turns: Tensor
    failed: Tensor
    rivals: Tensor


class Search(Protocol):
    """The directions of one run."""

    def next(self, tried: Tried) -> Tensor:
        """Return the next direction of each image, [k, c, h, w]."""


class Directions(Protocol):
    """Where the directions of an attack come from."""

    @property
    def cost(self) -> Cost:
        """The passes of one query and of what chooses its direction."""

    def check_source(self, model: Model) -> Rejection | None:
        """Return why a source network cannot be used, or None if it can."""

    def start(self, model: Model, examples: Examples, rng: Streams) -> Search:
        """Return the directions of a run."""


@dataclass(frozen=True)
class SignedTrials:
    """Ask about the image a step forth along a direction, then a step back; keep the first that raises the loss.

    A step has the budget's step size and is the ball's steepest one along the direction: along its signs in L-inf. Its
    end is projected into the ball. The first query is about the clean image, and there are as many as the budget has
    steps.
    """

    budget: Budget
    directions: Directions
    access: ClassVar[Access] = "scores"
    names_rows: ClassVar[bool] = True
    all_or_nothing: ClassVar[bool] = True
    deviations: ClassVar[Mapping[str, str]] = DEVIATIONS

    @property
    def cost(self) -> Cost:
        return self.directions.cost

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the budget cannot be used, or None if it can."""
        if self.budget.norm in NORMS:
            return None
        found = f"found a budget in {self.budget.norm}, but this attack is for {' and '.join(NORMS)}"
        return Rejection("norm", f'{found} (try norm = "{NORMS[1]}")')

    @property
    def asks_source(self) -> bool:
        """Whether `check_source` may reject a network."""
        return bool(getattr(self.directions, "asks_source", False))

    def check_source(self, model: Model) -> Rejection | None:
        """Return why a source network cannot be used, or None if it can."""
        return self.directions.check_source(model)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        clean, ball, eps = examples.images, BALLS[self.budget.norm], self.budget.eps
        search, best = self.directions.start(model, examples, rng), Best.of(model, examples, self.budget, clean)
        yield best.result
        turns, failed = torch.zeros_like(examples.labels), torch.zeros_like(examples.labels)
        back = torch.zeros_like(best.fooled)
        steps = torch.zeros_like(clean)
        for _ in range(self.budget.steps - 1):
            rows = best.going
            if not len(rows):
                return
            fresh = rows[~back[rows]]
            if len(fresh):
                tried = Tried(fresh, best.images[fresh], turns[fresh], failed[fresh], best.rivals[fresh])
                found = search.next(tried)
                steps[fresh] = self.budget.step_size * ball.direction(found)
            signed = steps[rows] * (1 - 2 * per_image(back[rows].to(clean), clean))
            delta = ball.project(best.images[rows] + signed - clean[rows], eps)
            better = best.take((clean[rows] + delta).clamp(0, 1), rows)
            done = better | back[rows]
            turns[rows] += done
            failed[rows] = (failed[rows] + done).where(~better, 0)
            back[rows] = ~done
            yield best.result
