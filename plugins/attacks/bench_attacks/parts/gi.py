"""Global momentum initialisation (Wang et al., 2022; arXiv:2211.11236)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack, WarmUp
from .mi import Decay, Momentum


def gi(
    attack: GradientAttack, *, warm_up: Count = 5, stretch: Annotated[float, Gt(0)] = 10.0, decay: Decay = 1.0
) -> GradientAttack:
    """Start with the momentum of some long steps, from which the image goes back to its start (Wang et al., 2022).

    The published attack takes 5 steps of MI-FGSM that are 10 times as long as the others, keeps their momentum
    `m <- decay * m + g / norm_1(g)`, puts the image back, and begins. These steps are shorter where the budget's are:
    at 200 steps of eps / 200 they do not reach the border of the ball (try a larger `stretch`). With a random start
    both begin at the same point; TransferAttack draws another one for the second.

    Args:
        attack: The attack.
        warm_up: The number of these steps.
        stretch: Their length, in units of the budget's step.
        decay: The decay of the momentum.
    """
    started = attack.set_once(warm_up=WarmUp(warm_up, stretch))
    return started.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(gi, small={"warm_up": 2})
