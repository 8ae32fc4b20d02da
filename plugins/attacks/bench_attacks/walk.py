"""Steps inside the ball that an estimator takes to find further points, as the loop takes those of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .balls import BALLS, per_image

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Budget, Norm


@dataclass(frozen=True)
class Walk:
    """The ball of a norm and a size, around the clean images."""

    norm: Norm
    eps: float

    @classmethod
    def of(cls, budget: Budget) -> Walk:
        return cls(budget.norm, budget.eps)

    def steepest(self, points: Tensor, gradient: Tensor, length: float | Tensor, clean: Tensor) -> Tensor:
        """Return points [n, c, h, w] moved along the steepest direction of the ball, by `length` or lengths [n]."""
        size = length if isinstance(length, float) else per_image(length, points)
        return self.move(points, size * BALLS[self.norm].direction(gradient, points), clean)

    def move(self, points: Tensor, offset: Tensor, clean: Tensor) -> Tensor:
        """Return `points + offset` [n, c, h, w], projected into the ball and clipped to [0, 1].

        A point that is not moved keeps its bits, so that no rounding error is taken for a direction.
        """
        moved = (clean + BALLS[self.norm].project(points + offset - clean, self.eps, clean)).clamp(0, 1)
        return moved.where(per_image(offset.flatten(1).abs().amax(1) > 0, points), points)
