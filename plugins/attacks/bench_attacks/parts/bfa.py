"""Black-box features (Wang et al., 2024; Neurocomputing 595)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from ..balls import unit
from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from ..messages import Answer, Passes, Query
from ..rewiring import Depth
from ..taps import Layer
from .fia import WeightedFeatures
from .mi import Decay, Momentum

if TYPE_CHECKING:
    from torch import Tensor

    from ..run_state import RunState

AUTHORS = 28 / (3 * 299 * 299) ** 0.5  # their length of 28, on images of 3 x 299 x 299, as the root mean square


@dataclass(frozen=True)
class FittedGradients:
    """The gradient in the features of minus the label's logit (or the target's), summed over fitted images.

    `z_0` is the clean image, and `z_(i+1) = clean + stretch * u_i`, where `u_i` is the gradient of the cross-entropy at
    `z_i`, scaled to a root mean square of 1; `z_1` to `z_count` are summed over. They may leave [0, 1]. The sum is
    scaled to Euclidean length 1.
    """

    count: int
    stretch: float

    def passes(self, _members: int) -> Passes:
        return Passes(plain=2 * self.count)

    def prepare(self, run: RunState) -> Generator[Query, Answer, Tensor]:
        total: Tensor | None = None
        fitted, length = run.clean, self.stretch * run.clean[0].numel() ** 0.5
        for _ in range(self.count):
            answer = yield Query(fitted[:, None], plain=True, loss=ClassificationLoss("cross_entropy"))
            fitted = run.clean + length * unit(answer.gradients[:, 0])
            answer = yield Query(fitted[:, None], at_tap=True, loss=ClassificationLoss("logit"))
            total = answer.gradients[:, 0] if total is None else total + answer.gradients[:, 0]
        assert total is not None
        return unit(total)


def bfa(
    attack: GradientAttack, *, layer: Depth = 0.45, fits: Count = 30, fit_stretch: Annotated[float, Gt(0)] = AUTHORS,
    decay: Decay = 1.0,
) -> GradientAttack:  # fmt: skip
    """Suppress features that the class depends on far along the gradient (Wang et al., 2024), with momentum.

    The authors' length of the perturbation, 28, is that of 3 x 299 x 299 pixels; here it is the same for each pixel at
    any size of the image.

    Args:
        attack: The attack.
        layer: The layer of the features: a name such as "layer2", or a share of the network's depth.
        fits: The number of fitted images.
        fit_stretch: The root mean square of their perturbations, for pixels in [0, 1].
        decay: The decay of the momentum.
    """
    preparation = FittedGradients(fits, fit_stretch)
    weighted = attack.set_once(tap=Layer(layer), loss=WeightedFeatures(), preparation=preparation)
    return weighted.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(bfa, small={"fits": 3})
