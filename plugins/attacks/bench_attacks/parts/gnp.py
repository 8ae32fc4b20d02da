"""Gradient norm penalty (Wu et al., ICIP 2023)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from ..balls import mean_unit
from ..compose import recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from .mi import Decay, Momentum

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState


@dataclass(frozen=True)
class NormPenalty:
    """`(1 + beta) * g1 - beta * g2` with `g1 = g(x)` and `g2 = g(x + radius * unit(g1))`.

    To first order in `radius`, `g2 - g1` is the Hessian times `radius * unit(g1)`, a multiple of the gradient of the
    norm of g. So this is the gradient of the loss with a penalty on that norm. `unit` scales to a mean absolute value
    of 1, as in TransferAttack; the paper prints the norm. With `subtract` False `beta * g2` is added, as TransferAttack
    does: a weighted average of both gradients, which penalises nothing. The point is not clipped to [0, 1].
    """

    radius: float
    beta: float
    subtract: bool

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(2)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, _run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        here = (yield Query(images[:, None])).gradients[:, 0]
        ahead = (yield Query((images + self.radius * mean_unit(here))[:, None])).gradients[:, 0]
        second = self.beta * ahead
        return (1 + self.beta) * here + (-second if self.subtract else second), None


def gnp(
    attack: GradientAttack,
    *,
    radius: Annotated[float, Gt(0)] = 0.01,
    beta: Annotated[float, Ge(0)] = 0.8,
    second: Literal["penalty", "average"] = "penalty",
    decay: Decay = 1.0,
) -> GradientAttack:
    """Penalise the norm of the gradient by its finite difference (Wu et al., 2023), with momentum.

    On a confident network the norm of the cross-entropy's gradient grows as fast as the loss, and its penalty outweighs
    the ascent: the attack may lower the loss (try a smaller `radius`, `loss = "margin"` or `second = "average"`). With
    the Euclidean norm that the paper prints, 0.01 is a `radius` of about 0.0003 at 28 x 28 pixels, where this does not
    happen, and of 0.00002 at 3 x 224 x 224.

    Args:
        attack: The attack.
        radius: The mean distance of the second point at each pixel, in units of the image range, in either norm.
        beta: The weight of the second gradient.
        second: "penalty" subtracts the second gradient, as the paper does. "average" adds it, as TransferAttack does.
        decay: The decay of the momentum.
    """
    penalty = NormPenalty(radius, beta, subtract=second == "penalty")
    return attack.set_once(estimator=penalty).with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(gnp)
