"""Targeted attacks with calibrated logits (Weng et al., 2023; arXiv:2303.03680)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from .logit import transferred
from .mi import Decay


def logit_margin(
    attack: GradientAttack, *, probability: Share = 0.7, resize: Annotated[float, Gt(0)] = 1.1, kernel: Count = 5,
    decay: Decay = 1.0,
) -> GradientAttack:  # fmt: skip
    """Ascend cross-entropy of logits over their lead, with DI, TI and a momentum of gradients as they are (Weng, 2023).

    The loss is the cross-entropy of `z / (z_1 - z_2)`, where the lead of the largest logit over the second has no
    gradient. The paper's other calibrations, by a constant of 5 and by an angle, are not here.

    Args:
        attack: The attack.
        probability: The probability that an image is resized, as in `di`.
        resize: The largest side of a resized image, in units of its side, as in `di`.
        kernel: The side of the kernel in pixels, odd, as in `ti`.
        decay: The decay of the momentum.
    """
    return transferred(attack, "logit_margin", probability, resize, kernel, decay)


RECIPE = recipe(logit_margin)
