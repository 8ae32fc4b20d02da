"""One step as long as all steps of the budget together (arXiv:2010.04055, proposition 1)."""

from __future__ import annotations

from ..compose import recipe
from ..gradient_attack import GradientAttack


def single_step(attack: GradientAttack, *, clip: bool = True) -> GradientAttack:
    """Take one step as long as all of the budget's together (arXiv:2010.04055, proposition 1).

    With `clip` the step ends at the edge of the ball. Without, it is never shortened: a budget whose ball is smaller
    than steps x step_size is rejected before the run, and a step along the plain gradient that leaves the ball is void.
    """
    return attack.set_once(only_step=attack.budget.steps * attack.budget.step_size, clipped=clip)


RECIPES = {"single_step": recipe(single_step)}
