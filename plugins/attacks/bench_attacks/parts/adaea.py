"""Adaptive ensembles (Chen et al., ICCV 2023; arXiv:2308.02897)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from ..compose import recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from ..messages import Answer, Passes, Query
from ..walk import Walk
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch

SMALLEST = 1e-8  # smaller losses count as this, so that the ratio of two losses of zero is 1


@dataclass(frozen=True)
class Adaptive:
    """The gradient of the loss of `sum_k w_k z_k`, with its pixels filtered by the agreement of the members.

    With the members' gradients `g_j` at x and one step `x_j` along each, `w = softmax_j(sharpness * r_j)` with
    `r_j = sum_(i != j) L_i(x_j) / L_i(x_i)`, where `L_i` is the cross-entropy of member i (the paper's AGM).
    At each pixel, `d` is the mean over all pairs of members of the cosine, over the channels, between their gradients;
    where `d < agreement`, the gradient becomes 0 (its DRF). On a single network this is the gradient.

    A targeted attack adds the inverse ratios, since its loss falls where an attack transfers: a member whose step
    helps on the other members weighs more in both.
    """

    sharpness: float
    agreement: float
    walk: Walk

    def passes(self, _step: int, members: int) -> Passes:
        return Passes(2, forwards=members) if members > 1 else Passes(1)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        if run.members == 1:
            return (yield Query(images[:, None])).gradients[:, 0], None
        each = torch.arange(run.members, device=images.device).expand(len(images), -1)
        gradients = (yield Query(images[:, None].expand(-1, run.members, -1, -1, -1), member=each)).gradients
        steps = [self.walk.steepest(images, gradient, run.step_size, run.clean) for gradient in gradients.unbind(1)]
        cross_entropy = ClassificationLoss("cross_entropy")
        points = torch.stack(steps, 1)
        answer = yield Query(points, backward=False, separately=True, loss=cross_entropy)
        weights = member_weights(answer.member_values, self.sharpness)
        gradient = (yield Query(images[:, None], weights=weights)).gradients[:, 0]
        return gradient * (agreement(gradients) >= self.agreement), None


def member_weights(values: Tensor, sharpness: float) -> Tensor:
    """Return weights [n, members] from the values [n, j, i] of member i one step along the gradient of member j.

    Args:
        values: What is ascended: the cross-entropy, or minus that of the target class.
        sharpness: The factor before the softmax.
    """
    losses = values.abs().clamp(min=SMALLEST)
    ratios = losses / losses.diagonal(dim1=1, dim2=2)[:, None]
    ratios = ratios.where(values >= 0, 1 / ratios)
    return (sharpness * (ratios.sum(2) - 1)).softmax(1)  # minus 1 for the ratio of each member to itself


def agreement(gradients: Tensor) -> Tensor:
    """Return the mean over all pairs of members of their cosine over channels, [n, 1, h, w] from [n, k, c, h, w].

    A member whose gradient is zero at a pixel has a cosine of 0 there.
    """
    peak = gradients.flatten(2).abs().amax(2).view(*gradients.shape[:2], 1, 1, 1)
    scaled = gradients / peak.where(peak > 0, 1)  # the squares of tiny numbers underflow
    lengths = scaled.norm(dim=2, keepdim=True)
    units = scaled / lengths.where(lengths > 0, 1)
    pairs = gradients.shape[1] * (gradients.shape[1] - 1)
    both: Tensor = (units.sum(1).square().sum(1, keepdim=True) - units.square().sum((1, 2))[:, None]) / pairs
    return both


def adaea(
    attack: GradientAttack,
    *,
    sharpness: Annotated[float, Ge(0)] = 10.0,
    agreement: Annotated[float, Ge(-1), Le(1)] = 0.0,
    decay: Decay = 0.9,
) -> GradientAttack:
    """Weigh an ensemble's members by how their steps transfer to the others (Chen et al., 2023), with momentum.

    The defaults are those of the authors' code; TransferAttack has an `agreement` of -0.3 and a decay of 1. Both take
    the losses as means over a batch, leave the agreement of the last member out of the mean (a slip of an index), and
    start at normal noise of 0.001; TransferAttack ignores targets. Here weights are those of each image, all members
    count, a targeted attack goes to its target, and a random start is the budget's. However the ensemble combines its
    members, their weighted logits are added. The steps that are compared are steps of signs in L-inf and
    of normalised gradients in L2. Combined with transformed copies, such as `di`, only gradients are those of copies.

    Args:
        attack: The attack.
        sharpness: The factor of the ratios before the softmax, the paper's beta.
        agreement: The smallest mean cosine at which a pixel is changed, the paper's eta; -1 keeps all pixels.
        decay: The decay of the momentum.
    """
    adapted = attack.set_once(estimator=Adaptive(sharpness, agreement, Walk.of(attack.budget)))
    return adapted.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(adaea)
