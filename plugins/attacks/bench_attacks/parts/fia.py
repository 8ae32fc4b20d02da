"""Feature importance (Wang et al., 2021; arXiv:2107.14185)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..balls import unit
from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from ..messages import Answer, Outputs, Passes, Query
from ..rewiring import Depth
from ..taps import Layer
from .mi import Decay, Momentum

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples

    from ..run_state import RunState


@dataclass(frozen=True)
class WeightedFeatures:
    """The sum of the features, each with the weight that was prepared."""

    def value(self, outputs: Outputs, _examples: Examples) -> Tensor:
        assert outputs.features is not None
        assert outputs.data is not None
        return (outputs.data[:, None] * outputs.features).flatten(2).sum(2)


class Masks(Protocol):
    """Random factors of the pixels of an image."""

    def mask(self, number: int, run: RunState) -> Tensor:
        """Return the factors [n, c, h, w] of mask `number`."""


@dataclass(frozen=True)
class KeptPixels:
    """Each pixel of each channel is kept with probability `keep`, and else set to 0."""

    keep: float

    def mask(self, number: int, run: RunState) -> Tensor:
        return run.rng.uniform(f"feature masks {number}", run.clean.shape[1:]) < self.keep


@dataclass(frozen=True)
class AggregatedGradients:
    """`W = D / norm_2(D)`, where D is the sum over masks M_i of the gradient of `-z_y` in the features `f(x M_i)`.

    There are `count` masks, and z_y is the label's logit. In a targeted attack it is `+z_t` of the class t aimed at.
    """

    count: int
    masks: Masks

    def passes(self, _members: int) -> Passes:
        return Passes(plain=self.count)

    def prepare(self, run: RunState) -> Generator[Query, Answer, Tensor]:
        total: Tensor | None = None
        for number in range(self.count):
            masked = (run.clean * self.masks.mask(number, run))[:, None]
            gradients = (yield Query(masked, at_tap=True, loss=ClassificationLoss("logit"))).gradients[:, 0]
            total = gradients if total is None else total + gradients
        assert total is not None
        return unit(total)


def fia(
    attack: GradientAttack, *, layer: Depth = 0.45, masks: Count = 30, keep: Share = 0.7, decay: Decay = 1.0
) -> GradientAttack:
    """Suppress the features that the class depends on at masked images (Wang et al., 2021), with momentum.

    It ascends `sum(W f(x_t))`, with the weights W of the features f at a layer, which are found at the clean image.
    TransferAttack has the softmax probability in place of the logit, and no momentum.

    Args:
        attack: The attack.
        layer: The layer of the features: a name such as "layer2", or a share of the network's depth.
        masks: The number of masks.
        keep: The probability that a mask keeps a pixel; 0.7 in the paper, 0.9 in the defaults of its code.
        decay: The decay of the momentum.
    """
    weighted = attack.set_once(
        tap=Layer(layer), loss=WeightedFeatures(), preparation=AggregatedGradients(masks, KeptPixels(keep))
    )
    return weighted.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(fia, small={"masks": 4})
