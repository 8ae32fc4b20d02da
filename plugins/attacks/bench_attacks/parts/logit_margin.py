"""Targeted attacks with calibrated logits (Weng et al., 2023; arXiv:2303.03680)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt

from ..balls import unit
from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss, classification_loss
from ..messages import Answer, Outputs, Passes, Query
from ..taps import HeadInput
from .logit import transferred
from .mi import Decay

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples

    from ..run_state import RunState


@dataclass(frozen=True)
class ScaledLogits:
    """The cross-entropy of the logits, divided by a constant."""

    temperature: float

    def value(self, outputs: Outputs, examples: Examples) -> Tensor:
        return classification_loss("cross_entropy", outputs.logits / self.temperature, examples)


@dataclass(frozen=True)
class ClassWeights:
    """The weights of the target's logit in the last layer, or minus those of the label's, at Euclidean length 1."""

    deviations: ClassVar[Mapping[str, str]] = {
        "zero_gradient": "the class's weights are read once, as a gradient, before the first step"
    }

    def passes(self, _members: int) -> Passes:
        return Passes(plain=1)

    def prepare(self, run: RunState) -> Generator[Query, Answer, Tensor]:
        answer = yield Query(run.clean[:, None], at_tap=True, loss=ClassificationLoss("logit"))
        return unit(answer.gradients[:, 0])


@dataclass(frozen=True)
class Cosine:
    """The cosine of the features and what was prepared."""

    def value(self, outputs: Outputs, _examples: Examples) -> Tensor:
        assert outputs.features is not None
        assert outputs.data is not None
        features, weights = outputs.features.flatten(2), outputs.data.flatten(1)[:, None]
        length: Tensor = features.norm(dim=2).clamp(min=1e-12)
        return (features * weights).sum(2) / length


def logit_margin(
    attack: GradientAttack, *, calibration: Literal["margin", "angle"] | Annotated[float, Gt(0)] = "margin",
    probability: Share = 0.7, resize: Annotated[float, Gt(0)] = 1.1, kernel: Count = 5, decay: Decay = 1.0,
) -> GradientAttack:  # fmt: skip
    """Ascend cross-entropy of calibrated logits, with DI, TI and a momentum of gradients as they are (Weng, 2023).

    The loss is the cross-entropy of `z / (z_1 - z_2)`, where the lead of the largest logit over the second has no
    gradient. With a number as calibration, such as the paper's 5, it is that of `z / number`. With "angle" the cosine
    of the last layer's input and its weights of the target is ascended, or untargeted that of the label lowered.
    It needs a `resize` of at most 1.

    Args:
        attack: The attack.
        calibration: What the logits are divided by: their lead ("margin") or a number; or "angle".
        probability: The probability that an image is resized, as in `di`.
        resize: The largest side of a resized image, in units of its side, as in `di`.
        kernel: The side of the kernel in pixels, odd, as in `ti`.
        decay: The decay of the momentum.
    """
    if calibration == "angle":
        attack = attack.set_once(tap=HeadInput(), preparation=ClassWeights())
        return transferred(attack, Cosine(), probability, resize, kernel, decay)
    loss = ClassificationLoss("logit_margin") if calibration == "margin" else ScaledLogits(calibration)
    return transferred(attack, loss, probability, resize, kernel, decay)


RECIPE = recipe(logit_margin)
