"""The fast gradient sign method (Goodfellow et al., 2015; arXiv:1412.6572)."""

from __future__ import annotations

from ..compose import recipe
from ..gradient_attack import GradientAttack


def fgsm(attack: GradientAttack) -> GradientAttack:
    """Take one step of length eps (Goodfellow et al., 2015)."""
    return attack.set_once(only_step=attack.budget.eps)


RECIPE = recipe(fgsm)
