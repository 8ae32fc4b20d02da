"""Targeted attacks with losses that do not saturate (arXiv:2012.11207, arXiv:2303.03680)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from .di import di
from .mi import Decay, Momentum
from .ti import ti

if TYPE_CHECKING:
    from bench_core.types import LossName


def transferred(
    attack: GradientAttack, loss: LossName, probability: float, resize: float, kernel: int, decay: float
) -> GradientAttack:
    """Return the attack with a loss, input diversity, a smoothed gradient and a momentum of gradients as they are."""
    attack = ti(
        di(attack.set_once(loss=ClassificationLoss(loss)), probability=probability, resize=resize), kernel=kernel
    )
    return attack.with_filters(*attack.filters, Momentum(decay, "none"))


def logit(
    attack: GradientAttack, *, probability: Share = 0.7, resize: Annotated[float, Gt(0)] = 1.1, kernel: Count = 5,
    decay: Decay = 1.0,
) -> GradientAttack:  # fmt: skip
    """Ascend the logit of the target, with DI, TI and a momentum that is not normalised (Zhao et al., 2021; eq. 6).

    `m <- decay * m + TI(gradient)`. Untargeted, the logit of the label is lowered. It replaces the suite's loss. The
    authors take steps of 2/255, 300 of them, and their code normalises no gradient, which the common re-implementation
    does.

    Args:
        attack: The attack.
        probability: The probability that an image is resized, as in `di`.
        resize: The largest side of a resized image, in units of its side, as in `di`.
        kernel: The side of the kernel in pixels, odd, as in `ti`.
        decay: The decay of the momentum.
    """
    return transferred(attack, "logit", probability, resize, kernel, decay)


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


RECIPES = {"logit": recipe(logit), "logit_margin": recipe(logit_margin)}
