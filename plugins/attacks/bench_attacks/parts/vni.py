"""Variance tuning with Nesterov's look-ahead (Wang & He, 2021; arXiv:2103.15571)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import Neighbours, per_pixel
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class TunedAhead:
    """`g(x + step_size * decay * m) + v`, where v is the variance at the step before.

    `v = mean_i g(x + r_i) - g(x + step_size * decay * m)`, and zero at first. The neighbours lie around x, as in the
    authors' code. TransferAttack puts them around the look-ahead along the step's new momentum. No point is clipped to
    [0, 1]. `m` is the momentum of gradients with a mean absolute value of 1, as in all code; the paper prints the
    1-norm, with which the look-ahead would be nothing.
    """

    neighbours: Neighbours
    decay: float

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(1 + self.neighbours.count)

    def init(self, images: Tensor) -> Tensor:
        return torch.zeros_like(images)

    def estimate(
        self, images: Tensor, variance: Tensor, run: RunState
    ) -> Generator[Query, Answer, tuple[Tensor, Tensor]]:
        ahead = images + per_pixel(run.step_size, self.neighbours.norm, images) * self.decay * run.momentum
        near = images[:, None] + self.neighbours.offsets(images, run)
        gradients = (yield Query(torch.cat([ahead[:, None], near], dim=1))).gradients
        return gradients[:, 0] + variance, gradients[:, 1:].mean(1) - gradients[:, 0]


def vni(
    attack: GradientAttack, *, neighbours: Count = 20, beta: Annotated[float, Ge(0)] = 1.5, decay: Decay = 1.0
) -> GradientAttack:
    """Add the variance near the last image to the gradient ahead of the image (Wang & He, 2021), with momentum.

    Args:
        attack: The attack.
        neighbours: The number of points near the image.
        beta: Their largest distance from it, in units of the budget's eps (in L2 spread evenly over all pixels).
        decay: The decay of the momentum.
    """
    near = Neighbours(neighbours, beta * attack.budget.eps, attack.budget.norm)
    tuned = attack.set_once(estimator=TunedAhead(near, decay))
    return tuned.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPES = {"vni": recipe(vni, small={"neighbours": 3})}
