"""One step as long as all steps of the budget together (arXiv:2010.04055, proposition 1)."""

from __future__ import annotations

from ..compose import recipe
from ..gradient_attack import GradientAttack


def single_step(attack: GradientAttack, *, clip: bool = True) -> GradientAttack:
    """Take one step as long as all steps of the budget together (arXiv:2010.04055, proposition 1).

    With `clip` the step is projected into the ball. Without it the step is never shortened: a budget whose eps is less
    than steps x step_size is rejected before the run, and with the part `raw` a step that leaves the ball is void.
    """
    return attack.set_once(only_step=attack.budget.steps * attack.budget.step_size, clipped=clip)


RECIPE = recipe(single_step)
