"""Attacks along integrated gradients (Huang & Kong, ECCV 2022; arXiv:2205.13152)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS, per_pixel

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class AttributionPath:
    """`x * mean_i grad(i/S * x + r_i)`, i from 0 to S: integrated gradients from a black image, on a ragged path.

    The r_i are drawn uniformly from a box of half side `jitter` and not clipped to [0, 1]. The authors' TAIG-R
    multiplies by `x + r_S - r_0`, the difference of the shifted ends, which also moves black pixels at random; here the
    factor is x, as in their TAIG-S. Where the image is 0 so is the attribution, and these pixels do not move.
    """

    segments: int
    jitter: float
    norm: Norm
    norms: ClassVar = LENGTHS

    @property
    def deviations(self) -> Mapping[str, str]:
        """The rules of `bench check` that the attack cannot follow, with the reasons."""
        black = {"batching": "each path begins at the same black image, which random views change anew at each step"}
        return {"zero_gradient": "a black image has no integrated gradients"} | ({} if self.jitter else black)

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(self.segments + 1)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        shares = torch.linspace(0, 1, self.segments + 1, device=images.device, dtype=images.dtype)
        points = images[:, None] * shares.view(1, -1, 1, 1, 1)
        if self.jitter:
            half = per_pixel(images.new_full((len(images),), self.jitter), self.norm, images)[:, None]
            points = points + half * (2 * run.rng.uniform("path", points.shape[1:]) - 1)
        answer = yield Query(points)
        return images * answer.gradients.mean(1), None


def taig_s(attack: GradientAttack, *, segments: Count = 20) -> GradientAttack:
    """Ascend the integrated gradients of minus the class's logit on a straight path (Huang & Kong, 2022).

    It always replaces the suite's loss: the logit of the true class is lowered, or that of the class aimed at raised.
    There is no momentum; `parts = ["taig_s", "mi"]` adds it. In a targeted attack TransferAttack also lowers the logit,
    that of the class aimed at.

    Args:
        attack: The attack.
        segments: The number of segments between a black image and the image; there is one more point.
    """
    path = AttributionPath(segments, 0.0, attack.budget.norm)
    return attack.set_once(loss=ClassificationLoss("logit"), estimator=path)


RECIPE = recipe(taig_s, small={"segments": 3})
