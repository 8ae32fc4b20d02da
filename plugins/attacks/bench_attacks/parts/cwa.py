"""Common weaknesses of an ensemble (Chen et al., ICLR 2024; arXiv:2303.09105)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt

from ..balls import unit
from ..compose import recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS
from ..walk import Walk
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class CommonWeakness:
    """`w - x`, where w is the end of a walk through the members, one after another (MI-CWA).

    It begins one step of length `reverse` against the gradient of the ensemble, which is the sharpness-aware part. For
    each member k, `n <- decay * n + g_k(w) / norm_2(g_k(w))` and `w <- w + inner_step * n`, which is the part that
    raises the cosine similarity of the members' gradients. Each point is projected into the ball and clipped to
    [0, 1]. The momentum n goes on from step to step.
    """

    reverse: float
    inner_step: float
    decay: float
    walk: Walk
    norms: ClassVar = LENGTHS

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(2)

    def init(self, images: Tensor) -> Tensor:
        return torch.zeros_like(images)

    def estimate(
        self, images: Tensor, momentum: Tensor, run: RunState
    ) -> Generator[Query, Answer, tuple[Tensor, Tensor]]:
        whole = (yield Query(images[:, None])).gradients[:, 0]
        walked = self.walk.steepest(images, -whole, self.reverse, run.clean)
        for number in range(run.members):
            member = torch.full((len(images), 1), number, device=images.device)
            here = (yield Query(walked[:, None], member=member)).gradients[:, 0]
            momentum = self.decay * momentum + unit(here)
            walked = self.walk.move(walked, self.inner_step * momentum, run.clean)
        return walked - images, momentum


def cwa(
    attack: GradientAttack,
    *,
    reverse: Annotated[float, Ge(0)] = 1 / 15,
    inner_step: Annotated[float, Gt(0)] = 250.0,
    decay: Decay = 1.0,
) -> GradientAttack:
    """Step towards where a walk through the members of an ensemble ends (Chen et al., 2024), with momentum.

    The paper takes outer steps of twice eps divided by the number of steps, and TransferAttack starts at random; here
    the budget says both. The momentum is that of each image; TransferAttack divides by a norm over the batch, and by a
    gradient of zero. In L2, steps are along normalised gradients. On a single network the walk has one step.

    Args:
        attack: The attack.
        reverse: The length of the first step, against the gradient, in units of the budget's eps.
        inner_step: The length of a step along a member's momentum. A gradient of Euclidean length 1 has numbers of
            about `1 / sqrt(c h w)`, so that 250 moves each number by about 0.6 at 3 x 224 x 224, to the border of
            usual balls in L-inf; so does any length that is large against `eps sqrt(c h w)`.
        decay: The decay of both momenta.
    """
    walk = Walk.of(attack.budget)
    weak = attack.set_once(estimator=CommonWeakness(reverse * walk.eps, inner_step, decay, walk))
    return weak.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(cwa)
