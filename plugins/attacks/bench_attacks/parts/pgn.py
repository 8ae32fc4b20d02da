"""Penalising the gradient norm around the image (Ge et al., NeurIPS 2023; arXiv:2306.05225)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS, Neighbours, mean_units, per_pixel
from .mi import Decay, Momentum

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState


@dataclass(frozen=True)
class PenalisedAround:
    """The mean over neighbours p of `(1 - balance) * g(p) + balance * g(p - step_size * unit(g(p)))` (algorithm 1).

    The neighbours are drawn uniformly from a box. `unit` scales to a mean absolute value of 1, and no point is clipped
    to [0, 1], both as in the authors' code and in TransferAttack. The paper prints the 1-norm.
    """

    neighbours: Neighbours
    balance: float
    norms: ClassVar = LENGTHS

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(2 * self.neighbours.count)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        near = images[:, None] + self.neighbours.offsets(images, run)
        here = (yield Query(near)).gradients
        step = per_pixel(run.step_size, self.neighbours.norm, images)[:, None]
        behind = (yield Query(near - step * mean_units(here))).gradients
        return ((1 - self.balance) * here + self.balance * behind).mean(1), None


def pgn(
    attack: GradientAttack,
    *,
    neighbours: Count = 20,
    zeta: Annotated[float, Ge(0)] = 3.0,
    balance: Share = 0.5,
    decay: Decay = 1.0,
) -> GradientAttack:
    """Average gradients near the image with those one step behind (Ge et al., 2023), with momentum.

    Args:
        attack: The attack.
        neighbours: The number of points near the image.
        zeta: Their largest distance from it, in units of the budget's eps (in L2 spread evenly over all pixels).
        balance: The weight of the gradients behind; those at the points themselves have the rest.
        decay: The decay of the momentum.
    """
    near = Neighbours(neighbours, zeta * attack.budget.eps, attack.budget.norm)
    penalised = attack.set_once(estimator=PenalisedAround(near, balance))
    return penalised.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(pgn, small={"neighbours": 3})
