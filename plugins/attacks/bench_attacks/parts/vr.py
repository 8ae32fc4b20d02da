"""Variance reduction (Wu et al., 2018; arXiv:1802.09707)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from bench_core.errors import in_grey_levels
from bench_core.types import Rejection

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState


@dataclass(frozen=True)
class NoisyCopies:
    """`count` noisy copies of the current image (arXiv:2010.04055, eq. 29).

    The noise is Gaussian with standard deviation `sigma`, in units of the image range, and drawn anew at each step. The
    copies are not clipped to [0, 1].
    """

    count: int
    sigma: float
    through: bool = True

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Reject noise in grey levels."""
        return Rejection("sigma", in_grey_levels("sigma", self.sigma)) if self.sigma > 1 else None

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        return images[:, None] + self.sigma * run.rng.normal("smoothing", (self.count, *images.shape[1:]))


@dataclass(frozen=True)
class SmoothedObjective:
    """The gradient of the complete objective, averaged over noisy copies of the image."""

    copies: NoisyCopies

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(self.copies.count)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        answer = yield Query(self.copies.apply(images, run))
        return answer.gradients.mean(1), None


def vr(
    attack: GradientAttack,
    *,
    copies: Count = 20,
    sigma: Annotated[float, Ge(0)] = 15 / 255,
    reduction: Literal["sum", "mean"] = "sum",
    smooths: Literal["loss", "objective"] = "loss",
) -> GradientAttack:
    """Average the gradient of the loss over noisy copies of the image (Wu et al., 2018).

    Args:
        attack: The attack.
        copies: The number of copies.
        sigma: The standard deviation of the noise.
        reduction: How the loss is reduced over the copies where another term, such as that of `ir`, is added to it. The
            authors of HybridIR sum it, so the interaction weighs `copies` times less than with the mean. Alone, VR is
            the same with both.
        smooths: With "objective" all terms are computed at the same noisy copies, so that the interaction is that
            inside the noisy perturbation, and the mean is taken of all. It multiplies the passes of the other terms by
            `copies` (try fewer `samples`).
    """
    noise = NoisyCopies(copies, sigma)
    if smooths == "objective":
        rejected = noise.check((1, 1, 1))
        if rejected:
            raise ValueError(str(rejected))
        return attack.set_once(estimator=SmoothedObjective(noise))
    if reduction == "sum":
        attack = replace(attack, loss_weight=attack.loss_weight * copies)
    return attack.add_views(noise)


RECIPE = recipe(vr, small={"copies": 4})
