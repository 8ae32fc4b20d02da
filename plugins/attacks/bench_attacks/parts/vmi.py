"""Variance tuning (Wang & He, 2021; arXiv:2103.15571)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS, Neighbours, per_pixel
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class VarianceTuned:
    """`g(a) + v`, with `v = mean_i g(x + r_i) - g(a)` of the step before (eqs. 6 and 7); `v` is zero at first.

    The neighbours `x + r_i` are drawn uniformly from a box, as in the authors' code. `a = x + step_size * ahead * m`,
    with the momentum m: the image itself for `ahead` = 0. No point is clipped to [0, 1].
    """

    neighbours: Neighbours
    ahead: float = 0.0
    norms: ClassVar = LENGTHS

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(1 + self.neighbours.count)

    def init(self, images: Tensor) -> Tensor:
        return torch.zeros_like(images)

    def estimate(
        self, images: Tensor, variance: Tensor, run: RunState
    ) -> Generator[Query, Answer, tuple[Tensor, Tensor]]:
        point = images
        if self.ahead:
            point = images + per_pixel(run.step_size, self.neighbours.norm, images) * self.ahead * run.momentum
        near = images[:, None] + self.neighbours.offsets(images, run)
        answer = yield Query(torch.cat([point[:, None], near], dim=1))
        here, around = answer.gradients[:, 0], answer.gradients[:, 1:].mean(1)
        return here + variance, around - here


def vmi(
    attack: GradientAttack, *, neighbours: Count = 20, beta: Annotated[float, Ge(0)] = 1.5, decay: Decay = 1.0
) -> GradientAttack:
    """Add the variance of the gradient near the last image to the gradient (Wang & He, 2021), with momentum.

    Args:
        attack: The attack.
        neighbours: The number of points near the image.
        beta: Their largest distance from it, in units of the budget's eps (in L2 spread evenly over all pixels).
        decay: The decay of the momentum.
    """
    near = Neighbours(neighbours, beta * attack.budget.eps, attack.budget.norm)
    tuned = attack.set_once(estimator=VarianceTuned(near))
    return tuned.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(vmi, small={"neighbours": 3})
