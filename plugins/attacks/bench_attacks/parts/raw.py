"""Steps along the gradient itself (arXiv:2010.04055, propositions 1 to 3)."""

from __future__ import annotations

from ..compose import recipe
from ..gradient_attack import GradientAttack


def raw(attack: GradientAttack) -> GradientAttack:
    """Step along the gradient itself, not its sign or unit vector (arXiv:2010.04055, propositions 1 to 3)."""
    return attack.set_once(steepest=False)


RECIPE = recipe(raw)
