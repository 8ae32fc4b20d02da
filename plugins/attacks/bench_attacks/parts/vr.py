"""Variance reduction (Wu et al., 2018; arXiv:1802.09707)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from bench_core.errors import in_grey_levels
from bench_core.types import Rejection

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..loss import classification_loss

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, LossName

    from ..kinds import TermInputs
    from ..run_state import RunState


@dataclass(frozen=True)
class SmoothedLoss:
    """The classification loss, averaged over `count` noisy copies of the current image (arXiv:2010.04055, eq. 29).

    The noise is Gaussian with standard deviation `sigma`, in units of the image range, and drawn anew at each step. The
    copies are not clipped to [0, 1].
    """

    loss: LossName
    count: int
    sigma: float
    uses_image: bool = False
    uses_clean: bool = False

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Reject noise in grey levels."""
        return Rejection("sigma", in_grey_levels("sigma", self.sigma)) if self.sigma > 1 else None

    def points(self, images: Tensor, run: RunState) -> Tensor:
        return images[:, None] + self.sigma * run.rng.normal("smoothing", (self.count, *images.shape[1:]))

    def value(self, inputs: TermInputs, examples: Examples) -> Tensor:
        return classification_loss(self.loss, inputs.points, examples).mean(1)


def vr(attack: GradientAttack, *, copies: Count = 20, sigma: Annotated[float, Ge(0)] = 15 / 255) -> GradientAttack:
    """Average the gradient of the loss over noisy copies of the image (Wu et al., 2018)."""
    return attack.set_once(loss=SmoothedLoss(attack.budget.loss, copies, sigma))


RECIPES = {"vr": recipe(vr, small={"copies": 4})}
