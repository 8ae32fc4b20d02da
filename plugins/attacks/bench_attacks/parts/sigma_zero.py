"""sigma-zero (Cina et al., ICLR 2025; arXiv:2402.01879)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from bench_core.types import AttackRecipe, Budget, Cost

from ..adam import Adam
from ..balls import per_image
from ..compose import Share
from ..minimal_norm import MinimalNorm, Problem, attack_margin

if TYPE_CHECKING:
    import torch

    from bench_core.types import Norm
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class SigmaZero:
    """Adam on `max(-margin, 0) + mean(delta^2 / (delta^2 + sigma))`, of which small values of delta are cut to zero.

    The mean is a smooth L0 norm. The threshold below which values are cut rises while the image fools the network, and
    falls otherwise. As published, the smooth norm and the threshold treat the channels of a pixel apart; of the points
    on the way, the best is the one of fewest changed pixels.
    """

    step_size: float
    sigma: float
    threshold: float
    adapt: float
    norms: ClassVar[tuple[Norm, ...]] = ("l0",)
    can_target: ClassVar[bool] = False
    cost: ClassVar[Cost] = Cost()

    def run(self, problem: Problem) -> Iterator[None]:
        clean, steps = problem.clean, problem.budget.steps
        delta, adam, size = torch.zeros_like(clean), Adam.init(clean), self.step_size
        threshold = torch.full_like(problem.distances, self.threshold)
        for step in range(steps):
            asked = problem.ask(clean + delta, attack_margin)
            yield
            square = delta.square() + self.sigma
            smooth = 2 * self.sigma * delta / square.square() / clean[0].numel()
            losing = per_image(asked.margins <= 0, clean)
            gradient = smooth - asked.gradients * losing
            peak = gradient.flatten(1).abs().amax(1).clamp(min=1e-12)
            direction, adam = adam.update(gradient / per_image(peak, clean))
            delta = (clean + delta + size * direction).clamp(0, 1) - clean
            size = self.step_size * (0.1 + 0.9 * (1 + math.cos(math.pi * step / steps)) / 2)
            change = self.adapt * size
            threshold = (threshold + change).where(asked.fooled, threshold - change).clamp(0, 1)
            delta = delta * (delta.abs() >= per_image(threshold, clean))


def sigma_zero(
    budget: Budget,
    step_size: Annotated[float, Gt(0)] = 1.0,
    sigma: Annotated[float, Gt(0)] = 1e-3,
    threshold: Share = 0.3,
    adapt: Share = 0.01,
) -> MinimalNorm:
    return MinimalNorm(budget, SigmaZero(step_size, sigma, threshold, adapt))


RECIPE = AttackRecipe(
    sigma_zero,
    "The fewest changed pixels, by a smooth L0 norm and a threshold (Cina et al., 2025).",
    norms=SigmaZero.norms,
)
