"""Momentum of integrated gradients (Ma et al., ICCV 2023)."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from ..messages import Answer, Passes, Query
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class IntegratedGradients:
    """`x * (1/S) sum_i grad(i/S * x)`, i from 1 to S: the integrated gradients of the loss from a black image.

    Where the image is 0 so is the attribution, and these pixels do not move.
    """

    count: int
    deviations: ClassVar[Mapping[str, str]] = {"zero_gradient": "a black image has no integrated gradients"}

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(self.count)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, _run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        shares = torch.arange(1, self.count + 1, device=images.device).to(images) / self.count
        answer = yield Query(images[:, None] * shares.view(1, -1, 1, 1, 1))
        return images * answer.gradients.mean(1), None


def mig(attack: GradientAttack, *, path: Count = 20, decay: Decay = 1.0) -> GradientAttack:
    """Ascend the integrated gradients of minus the class's probability, with momentum (Ma et al., 2023).

    Implementations differ in what they integrate. The paper integrates the softmax probability of the true class, which
    is lowered, or of the class aimed at, which is raised. It always replaces the suite's loss.

    Args:
        attack: The attack.
        path: The number of points between a black image and the image.
        decay: The decay of the momentum.
    """
    integrated = attack.set_once(loss=ClassificationLoss("probability"), estimator=IntegratedGradients(path))
    return integrated.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(mig, small={"path": 4})
