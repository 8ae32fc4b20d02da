"""Nesterov's look-ahead (Lin et al., 2020; arXiv:1908.06281)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
class LookAhead:
    """The gradient at `x + step_size * decay * m` (eq. 6), not clipped to [0, 1].

    `m` is the momentum of gradients with a mean absolute value of 1, as in the authors' code. With the paper's 1-norm
    the look-ahead would be shorter by the number of pixels, which is nothing. In L2 the step is spread evenly over all
    pixels.
    """

    decay: float
    norm: Norm

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(1)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        ahead = images + per_pixel(run.step_size, self.norm, images) * self.decay * run.momentum
        answer = yield Query(ahead[:, None])
        return answer.gradients[:, 0], None


def ni(attack: GradientAttack, *, decay: Decay = 1.0) -> GradientAttack:
    """Take the gradient ahead of the image, along the momentum (Lin et al., 2020).

    Args:
        attack: The attack.
        decay: The decay of the momentum, here and in the length of the look-ahead.
    """
    ahead = attack.set_once(estimator=LookAhead(decay, attack.budget.norm))
    return ahead.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(ni)
