"""Stop each image at a given attacking utility (arXiv:2103.07364, sec. 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from bench_core.logits import pick

from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples


@dataclass(frozen=True)
class Utility:
    """The goal that the attacking utility is within `tolerance` of `utility`, in logits (arXiv:2103.07364, sec. 4.1).

    The utility is `h_y(x) - h_y(x_adv)`, or with a target class t `(h_t - h_y)(x_adv) - (h_t - h_y)(x)`.
    """

    utility: float
    tolerance: float
    uses_clean: bool = True

    def utilities(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Tensor:
        """Return the utility [n], from the logits of the images and of their clean images, both [n, classes]."""
        assert clean is not None
        change = logits - clean
        of_label = pick(change, examples.labels)
        return -of_label if examples.targets is None else pick(change, examples.targets) - of_label

    def side(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Tensor:
        excess = self.utilities(logits, clean, examples) - self.utility
        return excess.sign().where(excess.abs() > self.tolerance, 0.0)

    def report(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Mapping[str, Tensor]:
        return {
            "reached": self.side(logits, clean, examples) == 0,
            "utility": self.utilities(logits, clean, examples),
        }


def until_utility(
    attack: GradientAttack, *, utility: Annotated[float, Gt(0)] = 8.0, tolerance: Annotated[float, Gt(0)] = 0.1
) -> GradientAttack:
    """Stop each image at one attacking utility, halving steps that overshoot (arXiv:2103.07364, sec. 4.1).

    The score `attack.reached` shows which images reached it within the budget.
    """
    return attack.set_once(goal=Utility(utility, tolerance))


RECIPE = recipe(until_utility)
