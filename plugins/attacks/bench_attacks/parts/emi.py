"""Enhanced momentum (Wang et al., BMVC 2021; arXiv:2103.10609)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ..balls import mean_unit
from ..compose import recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import per_pixel
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class AlongLastGradient:
    """The mean gradient G at `x + c_i * step_size * u`, where u is the last G with a mean absolute value of 1.

    The `count` numbers c_i are linear over [-reach, reach]. At the first step u is zero, and all points are the image.
    They are queried nevertheless, as in the authors' code, because random views and surrogates change each of them
    differently. The authors sample linearly, too; TransferAttack has an option for other samplings, which it ignores.
    The points are not clipped to [0, 1].
    """

    count: int
    reach: float
    norm: Norm

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(self.count)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        factors = torch.linspace(-self.reach, self.reach, self.count, device=images.device, dtype=images.dtype)
        offset = per_pixel(run.step_size, self.norm, images) * mean_unit(run.gradient)
        answer = yield Query(images[:, None] + factors.view(1, -1, 1, 1, 1) * offset[:, None])
        return answer.gradients.mean(1), None


def emi(
    attack: GradientAttack,
    *,
    along: Annotated[int, Ge(2)] = 11,
    reach: Annotated[float, Ge(0)] = 7.0,
    decay: Decay = 1.0,
) -> GradientAttack:
    """Average the gradient over points along the last gradient, on both sides (Wang et al., 2021), with momentum.

    Args:
        attack: The attack.
        along: The number of points.
        reach: The largest distance of the points from the image, in units of the step (in L2 spread evenly over all
            pixels).
        decay: The decay of the momentum.
    """
    averaged = attack.set_once(estimator=AlongLastGradient(along, reach, attack.budget.norm))
    return averaged.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(emi, small={"along": 3})
