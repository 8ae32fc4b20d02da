"""The relaxed objective, with a penalty on the size of the perturbation (arXiv:2010.04055, eq. 8 and app. H)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from bench_core.types import Rejection

from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Budget, Examples

    from ..messages import TermInputs
    from ..run_state import RunState


@dataclass(frozen=True)
class SizePenalty:
    """The penalty `-c * norm_p(delta)^p`, with pixels in units of the image range (arXiv:2010.04055, eq. 8)."""

    c: float
    p: float
    count: int = 0
    uses_image: bool = False
    uses_clean: bool = False

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def points(self, _images: Tensor, _run: RunState) -> None:
        return None

    def value(self, inputs: TermInputs, _examples: Examples) -> Tensor:
        return -self.c * inputs.delta.abs().pow(self.p).flatten(1).sum(1)


@dataclass(frozen=True)
class AtSphere:
    """Stop when the L2 norm of the perturbation is eps (arXiv:2010.04055, app. H)."""

    def check(self, budget: Budget) -> Rejection | None:
        if budget.norm == "l2":
            return None
        found = f"found a budget in {budget.norm}, but this attack stops at an L2 norm"
        return Rejection("norm", f'{found} (try norm = "l2")')

    def reached(self, delta: Tensor, budget: Budget) -> Tensor:
        reached: Tensor = delta.flatten(1).norm(dim=1) >= budget.eps
        return reached


def relaxed(
    attack: GradientAttack, *, c: Annotated[float, Ge(0)] = 1.0, p: Annotated[float, Ge(1)] = 2.0
) -> GradientAttack:
    """Ascend loss - c * norm_p(delta)^p until the L2 norm of the perturbation is eps (arXiv:2010.04055, eq. 8, app. H).

    An image that reaches this norm is not changed any more. The score `attack.reached` shows which images reached it
    within the budget's steps.

    Args:
        attack: The attack.
        c: The weight of the penalty.
        p: The norm of the penalty, and its power.
    """
    return attack.set_once(stop=AtSphere()).add_term(SizePenalty(c, p))


RECIPE = recipe(relaxed)
