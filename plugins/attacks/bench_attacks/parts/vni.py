"""Variance tuning with Nesterov's look-ahead (Wang & He, 2021; arXiv:2103.15571)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..offsets import Neighbours
from .mi import Decay, Momentum
from .vmi import VarianceTuned


def vni(
    attack: GradientAttack, *, neighbours: Count = 20, beta: Annotated[float, Ge(0)] = 1.5, decay: Decay = 1.0
) -> GradientAttack:
    """Add the variance near the last image to the gradient ahead of the image (Wang & He, 2021), with momentum.

    With `a = x + step_size * decay * m`, `m <- decay * m + unit(g(a) + v)`, and `v` is the mean of `g(x + r_i) - g(a)`
    at the last step. The neighbours lie around the image, as in the authors' code; TransferAttack puts them around the
    look-ahead along the step's new momentum. The momentum is that of gradients with a mean absolute value of 1, as in
    all code. The paper prints the 1-norm, with which the look-ahead would be nothing.

    Args:
        attack: The attack.
        neighbours: The number of points near the image.
        beta: Their largest distance from it, in units of the budget's eps (in L2 spread evenly over all pixels).
        decay: The decay of the momentum.
    """
    near = Neighbours(neighbours, beta * attack.budget.eps, attack.budget.norm)
    tuned = attack.set_once(estimator=VarianceTuned(near, ahead=decay))
    return tuned.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(vni, small={"neighbours": 3})
