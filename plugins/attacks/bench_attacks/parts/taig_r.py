"""The transferable attack on integrated gradients of a random path (Huang & Kong, ECCV 2022; arXiv:2205.13152)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from .taig_s import AttributionPath


def taig_r(attack: GradientAttack, *, segments: Count = 30, jitter: Annotated[float, Ge(0)] = 1.0) -> GradientAttack:
    """Ascend the integrated gradients of minus the class's logit on a random path (Huang & Kong, 2022).

    It is `taig_s` with points that are shifted at random; the equation, and what differs from the authors' code, are
    there.

    Args:
        attack: The attack.
        segments: The number of segments between a black image and the image; there is one more point.
        jitter: The largest shift of a point, in units of the budget's eps (in L2 spread evenly over all pixels).
    """
    path = AttributionPath(segments, jitter * attack.budget.eps, attack.budget.norm)
    return attack.set_once(loss=ClassificationLoss("logit"), estimator=path)


RECIPE = recipe(taig_r, small={"segments": 3})
