"""Intermediate-level attack (Huang et al., 2019; arXiv:1907.10823)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.types import Budget

from ..balls import BALLS, unit
from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..loss import ClassificationLoss
from ..messages import Answer, Passes, Query
from ..rewiring import Depth
from ..taps import Layer
from .fia import WeightedFeatures
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class GuidedChange:
    """The change of the features from the clean image to that which a guide reaches, scaled to Euclidean length 1.

    The guide takes `steps` steps along a momentum of the gradients of the budget's loss, without views and other terms.
    They are as long as the budget's, or eps / `steps` if that is longer (in L0, where eps is no length, the budget's).
    So the guide can reach the border of the ball, however short the steps of the budget are.
    """

    budget: Budget
    steps: int
    decay: float

    def passes(self, _members: int) -> Passes:
        return Passes(plain=self.steps, forwards=2)

    @property
    def length(self) -> float:
        reaching = 0 if self.budget.norm == "l0" else self.budget.eps / self.steps
        return max(self.budget.step_size, reaching)

    def prepare(self, run: RunState) -> Generator[Query, Answer, Tensor]:
        ball, eps, loss = BALLS[self.budget.norm], self.budget.eps, ClassificationLoss(self.budget.loss)
        momentum = Momentum(self.decay, "mean")
        images, state = run.clean, momentum.init(run.clean)
        for _ in range(self.steps):
            answer = yield Query(images[:, None], plain=True, loss=loss)
            direction, state = momentum.update(answer.gradients[:, 0], state, run)
            moved = images + self.length * ball.direction(direction, images)
            images = (run.clean + ball.project(moved - run.clean, eps, run.clean)).clamp(0, 1)
        answer = yield Query(torch.stack([run.clean, images], 1), backward=False, loss=loss)
        assert answer.features is not None
        return unit(answer.features[:, 1] - answer.features[:, 0])


def ila(
    attack: GradientAttack, *, layer: Depth = 0.5, guide_steps: Count = 10, guide_decay: Decay = 1.0
) -> GradientAttack:
    """Ascend the change of inner features that a first attack made, from the clean image (Huang et al., 2019; eq. 3).

    With `f` the features at the layer, `x` the clean image and `x'` the result of the first attack, it ascends the
    projection `<f(x_t) - f(x), f(x') - f(x)>`, without momentum. The first attack, the guide, starts at the clean image
    and has the eps of the budget and its length of a step, or eps / `guide_steps` if that is longer. It is MI-FGSM, or
    I-FGSM with `guide_decay = 0`. The paper refines the result of any attack. The authors choose the layer for each
    network; TransferAttack takes the middle one. Both divide by a norm over the batch, which changes no step.

    Args:
        attack: The attack.
        layer: The layer of the features: a name such as "layer2", or a share of the network's depth.
        guide_steps: The number of steps of the guide.
        guide_decay: The decay of the guide's momentum.
    """
    preparation = GuidedChange(attack.budget, guide_steps, guide_decay)
    return attack.set_once(tap=Layer(layer), loss=WeightedFeatures(), preparation=preparation)


RECIPE = recipe(ila, small={"guide_steps": 4})
