"""Reverse adversarial perturbation (Qin et al., NeurIPS 2022; arXiv:2210.05968)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt

from ..balls import BALLS
from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Reversed:
    """The gradient at `x + n`, where n is found by `count` steps that lower the objective (algorithm 1).

    n starts at a random point of the ball of radius `eps` and stays in it; `x + n` stays in [0, 1]. Up to step `late`
    n is zero. In L2 both the inner ball and the inner steps are Euclidean.
    """

    count: int
    eps: float
    step_size: float
    late: int
    norm: Norm
    norms: ClassVar = LENGTHS

    def passes(self, step: int, _members: int) -> Passes:
        return Passes(1 + self.count if step > self.late else 1)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        ball, reverse = BALLS[self.norm], torch.zeros_like(images)

        def inside(offset: Tensor) -> Tensor:
            return (images + ball.project(offset, self.eps, images)).clamp(0, 1) - images

        if run.step > self.late:
            reverse = inside(ball.sample(run.rng, images, self.eps))
            for _ in range(self.count):
                answer = yield Query((images + reverse)[:, None])
                reverse = inside(reverse - self.step_size * ball.direction(answer.gradients[:, 0], images + reverse))
        answer = yield Query((images + reverse)[:, None])
        return answer.gradients[:, 0], None


def rap(
    attack: GradientAttack,
    *,
    reverse_steps: Count = 8,
    reverse_eps: Annotated[float, Gt(0)] = 1.0,
    reverse_step_size: Annotated[float, Gt(0)] = 1 / 8,
    late_start: Annotated[int, Ge(0)] = 0,
) -> GradientAttack:
    """Take the gradient where a perturbation of the image lowers the objective most (Qin et al., 2022).

    The authors take 400 steps of 2/255 with eps 16/255, an inner ball of 16/255 (targeted 12/255: `reverse_eps = 0.75`,
    `reverse_step_size = 1 / 6`) and inner steps of 2/255. Their late start (RAP-LS) is after 100 of 400 steps. Here it
    is off: try a quarter of the budget's steps. There is no momentum, as in their plain attack: `parts = ["rap", "mi"]`
    adds it. TransferAttack always has it, and its random start in L2 does not run.

    Args:
        attack: The attack.
        reverse_steps: The number of inner steps.
        reverse_eps: The radius of the inner ball, in units of the budget's eps.
        reverse_step_size: The length of an inner step, in units of `reverse_eps`.
        late_start: The number of plain steps before the first step with an inner perturbation.
    """
    eps = reverse_eps * attack.budget.eps
    estimator = Reversed(reverse_steps, eps, reverse_step_size * eps, late_start, attack.budget.norm)
    return attack.set_once(estimator=estimator)


RECIPE = recipe(rap, small={"reverse_steps": 2})
