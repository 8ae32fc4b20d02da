"""Feature momentum (He et al., 2022; arXiv:2204.10606)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..balls import mean_unit
from ..compose import Count, Share, recipe
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


@dataclass(frozen=True)
class FeatureMomentum:
    """The gradient of `sum(B f)`, where `B <- decay * B + D / mean|D|` is renewed at each step.

    D is the sum over `count` masked copies of the current image of the gradient, in the features, of minus the label's
    probability (or the target's probability). A mask drops each pixel of each channel with the probability
    `first_drop` at the first step and `drop` later.
    """

    count: int
    first_drop: float
    drop: float
    decay: float

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(objective=1, plain=self.count)

    def init(self, _images: Tensor) -> None:
        return None  # the features' size is not known yet

    def estimate(
        self, images: Tensor, state: Tensor | None, run: RunState
    ) -> Generator[Query, Answer, tuple[Tensor, Tensor]]:
        total: Tensor | None = None
        drop = self.first_drop if state is None else self.drop
        for number in range(self.count):
            kept = run.rng.uniform(f"feature masks {number}", images.shape[1:]) >= drop
            masked = (images * kept)[:, None]
            answer = yield Query(masked, at_tap=True, loss=ClassificationLoss("probability"))
            total = answer.gradients[:, 0] if total is None else total + answer.gradients[:, 0]
        assert total is not None
        weights = mean_unit(total) if state is None else self.decay * state + mean_unit(total)
        answer = yield Query(images[:, None], loss=WeightedFeatures(), data=weights)
        return answer.gradients[:, 0], weights


def fmaa(
    attack: GradientAttack, *, layer: Depth = 0.45, masks: Count = 30, first_drop: Share = 0.4, drop: Share = 0.1,
    feature_decay: Decay = 1.1, decay: Decay = 1.0,
) -> GradientAttack:  # fmt: skip
    """Suppress the features that the class depends on, found anew at each step (He et al., 2022), with momentum.

    The gradient in the features is that of the softmax probability, where `fia` has the logit. TransferAttack
    has no momentum of the gradient.

    Args:
        attack: The attack.
        layer: The layer of the features: a name such as "layer2", or a share of the network's depth.
        masks: The number of masks at each step.
        first_drop: The probability that a mask drops a pixel, at the first step.
        drop: The same at the later steps.
        feature_decay: The decay of the features' weights.
        decay: The decay of the momentum of the gradient.
    """
    estimator = FeatureMomentum(masks, first_drop, drop, feature_decay)
    weighted = attack.set_once(tap=Layer(layer), loss=WeightedFeatures(), estimator=estimator)
    return weighted.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(fmaa, small={"masks": 4})
