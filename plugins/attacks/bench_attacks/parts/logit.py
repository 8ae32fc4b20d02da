"""Targeted attacks with the logit (Zhao et al., 2021; arXiv:2012.11207)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..kinds import Loss
from ..loss import ClassificationLoss
from .di import di
from .mi import Decay, Momentum
from .ti import ti


def transferred(
    attack: GradientAttack, loss: Loss, probability: float, resize: float, kernel: int, decay: float
) -> GradientAttack:
    """Return the attack with a loss, input diversity, a smoothed gradient and a momentum of gradients as they are."""
    attack = ti(di(attack.set_once(loss=loss), probability=probability, resize=resize), kernel=kernel)
    return attack.with_filters(*attack.filters, Momentum(decay, "none"))


def logit(
    attack: GradientAttack, *, probability: Share = 0.7, resize: Annotated[float, Gt(0)] = 1.1, kernel: Count = 5,
    decay: Decay = 1.0,
) -> GradientAttack:  # fmt: skip
    """Ascend the logit of the target, with DI, TI and a momentum that is not normalised (Zhao et al., 2021; eq. 6).

    `m <- decay * m + TI(gradient)`. Untargeted, the logit of the label is lowered. It replaces the suite's loss. The
    authors take 300 steps of 2/255, and normalise no gradient. Each image has its own draws of `di`, and the network
    gets the padded image as it is; TransferAttack resizes it back to the size of the image.

    Args:
        attack: The attack.
        probability: The probability that an image is resized, as in `di`.
        resize: The largest side of a resized image, in units of its side, as in `di`.
        kernel: The side of the kernel in pixels, odd, as in `ti`.
        decay: The decay of the momentum.
    """
    return transferred(attack, ClassificationLoss("logit"), probability, resize, kernel, decay)


RECIPE = recipe(logit)
