"""The improved Euler method (Peng et al., ICASSP 2023)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..balls import mean_unit
from ..compose import recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import per_pixel
from .mi import Decay, Momentum

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Norm

    from ..run_state import RunState


@dataclass(frozen=True)
class ImprovedEuler:
    """`(unit(g1) + unit(g2)) / 2` with `g1 = g(x)`, `g2 = g(x + step_size * unit(g1))`, not clipped to [0, 1].

    `unit` scales to a mean absolute value of 1, as in TransferAttack, which differs in nothing else.
    """

    norm: Norm

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(2)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        here = mean_unit((yield Query(images[:, None])).gradients[:, 0])
        ahead = images + per_pixel(run.step_size, self.norm, images) * here
        anticipated = mean_unit((yield Query(ahead[:, None])).gradients[:, 0])
        return (here + anticipated) / 2, None


def ie(attack: GradientAttack, *, decay: Decay = 1.0) -> GradientAttack:
    """Average the gradients at the image and one step ahead (Peng et al., 2023), with momentum.

    Args:
        attack: The attack.
        decay: The decay of the momentum.
    """
    averaged = attack.set_once(estimator=ImprovedEuler(attack.budget.norm))
    return averaged.with_filters(*attack.filters, Momentum(decay, "none"))


RECIPE = recipe(ie)
