"""Momentum (Dong et al., 2018; arXiv:1710.06081)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from annotated_types import Ge

from ..balls import mean_unit, per_image, unit
from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState

Decay = Annotated[float, Ge(0)]


class Accumulated(NamedTuple):
    """The momentum [n, c, h, w], and the number of nonzero gradients of each image [n, 1, 1, 1]."""

    momentum: Tensor
    nonzero: Tensor


@dataclass(frozen=True)
class Momentum:
    """`g <- decay * g + gradient / size(gradient)`, per image; a gradient of zero leaves `g` unchanged.

    The size of a gradient is the "sum" or the "mean" of its absolute values, or 1 ("none"). The sum is the 1-norm of
    the papers. The mean is what most of their code divides by: a momentum of about 1 per pixel, in whose direction
    points ahead of the image can be placed.

    With the decay "average", `g <- (t-1)/t * g + 1/t * gradient` for the t-th nonzero gradient, which is the mean of
    all nonzero gradients so far (arXiv:2010.04055, eq. 33).
    """

    decay: float | Literal["average"]
    normalise: Literal["sum", "mean", "none"] = "sum"

    def init(self, images: Tensor) -> Accumulated:
        return Accumulated(images.new_zeros(images.shape), images.new_zeros((len(images), 1, 1, 1)))

    def update(self, gradient: Tensor, state: Accumulated, _run: RunState) -> tuple[Tensor, Accumulated]:
        direction = unit(gradient)  # scaled first, because the 1-norm of tiny numbers underflows
        length = per_image(direction.flatten(1).abs().sum(1), gradient)
        nonzero = state.nonzero + (length > 0).to(gradient)
        if self.decay == "average":
            count = nonzero.clamp(min=1)
            updated = (count - 1) / count * state.momentum + gradient / count
        elif self.normalise == "sum":
            updated = self.decay * state.momentum + direction / length.where(length > 0, 1)
        else:
            updated = self.decay * state.momentum + (mean_unit(gradient) if self.normalise == "mean" else gradient)
        momentum = updated.where(length > 0, state.momentum)
        return momentum, Accumulated(momentum, nonzero)


def mi(
    attack: GradientAttack,
    *,
    decay: Decay | Literal["average"] = 1.0,
    gradient_norm: Literal["sum", "mean", "none"] = "sum",
) -> GradientAttack:
    """Accumulate a momentum of the gradients (Dong et al., 2018); "average" is arXiv:2010.04055, eq. 33.

    Args:
        attack: The attack.
        decay: The factor of the momentum before a gradient is added.
        gradient_norm: What a gradient is divided by: the sum or the mean of its absolute values, or nothing.
    """
    return attack.with_filters(*attack.filters, Momentum(decay, gradient_norm))


RECIPE = recipe(mi)
