"""Stochastic variance reduced ensembles (Xiong et al., CVPR 2022; arXiv:2111.10752)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..balls import mean_unit
from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS, per_pixel
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class VarianceReduced:
    """The momentum of `inner` steps with one random member each, whose gradient the ensemble's corrects (algorithm 1).

    From `w = x` and `n = 0`: `q = g_k(w) - (g_k(x) - g(x))`, `n <- decay * n + unit(q)`, `w <- w + step * sign(n)`,
    clipped into the ball and [0, 1]. Each image draws its own members k. `g_k(x)` is computed once for each member, and
    the first q is `g(x)`. In L2, `step` and `eps` are spread evenly over all pixels.
    """

    inner: int
    decay: float
    eps: float
    norm: Norm
    norms: ClassVar = LENGTHS

    def passes(self, _step: int, members: int) -> Passes:
        at_start = 2 if members > 1 else 1
        return Passes(at_start + (self.inner - 1) / members)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        count, members = len(images), run.members
        whole = (yield Query(images[:, None])).gradients[:, 0]
        at_start = whole[:, None]
        if members > 1:
            each = torch.arange(members, device=images.device).expand(count, -1)
            at_start = (yield Query(images[:, None].expand(-1, members, -1, -1, -1), member=each)).gradients
        drawn = run.rng.integers("members", (self.inner,), members)
        walked, inner = images, torch.zeros_like(images)
        step = per_pixel(run.step_size, self.norm, images)
        eps = per_pixel(torch.full_like(run.step_size, self.eps), self.norm, images)
        for turn, member in enumerate(drawn.unbind(1)):
            reduced = whole
            if turn:
                here = (yield Query(walked[:, None], member=member[:, None])).gradients[:, 0]
                reduced = here - (at_start[torch.arange(count, device=images.device), member] - whole)
            inner = self.decay * inner + mean_unit(reduced)
            ahead = walked + step * inner.sign()
            walked = (run.clean + (ahead - run.clean).clamp(-eps, eps)).clamp(0, 1)
        return inner, None


def svre(attack: GradientAttack, *, inner: Count = 16, decay: Decay = 1.0) -> GradientAttack:
    """Correct steps with single members of an ensemble by the gradient of all (Xiong et al., 2022), with momentum.

    The paper has 16 inner steps for four members, its code 32, and TransferAttack four for each member. TransferAttack
    starts at random; here the budget says so. Both draw one member for a batch. In L2, the inner steps are those of the
    box whose corners are on the ball. On a single network it is a momentum of momenta.

    Args:
        attack: The attack.
        inner: The number of inner steps.
        decay: The decay of both momenta.
    """
    reduced = attack.set_once(estimator=VarianceReduced(inner, decay, attack.budget.eps, attack.budget.norm))
    return reduced.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(svre, small={"inner": 3})
