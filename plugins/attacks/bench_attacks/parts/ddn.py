"""Decoupled direction and norm (Rony et al., 2019; arXiv:1811.09600)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt, Lt

from bench_core.norms import perturbation_size
from bench_core.types import AttackRecipe, Budget, Cost

from ..balls import per_image, unit
from ..loss import classification_loss
from ..minimal_norm import MinimalNorm, Problem

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm
else:
    from bench_core.lazy import torch

LAST = 0.01  # the length of the last step; the first is 1 (algorithm 1)


@dataclass(frozen=True)
class DecoupledNorm:
    """Steps along the gradient of the cross-entropy, each projected onto a sphere around the clean image.

    The radius of the sphere shrinks by the share `gamma` when the image fools the network, and grows by it otherwise.
    Eps does not bound it: from an image further away that fools the network, a search shrinks into the ball. The
    authors also round to 8 bits after each step; here a suite's `quantise` rounds the result.
    """

    gamma: float
    init_norm: float
    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    can_target: ClassVar[bool] = True
    cost: ClassVar[Cost] = Cost()

    def run(self, problem: Problem) -> Iterator[None]:
        clean, steps = problem.clean, problem.budget.steps
        delta, loss = torch.zeros_like(clean), partial(classification_loss, "cross_entropy")
        largest = furthest(clean)
        radius = torch.full_like(largest, self.init_norm).minimum(largest)
        for step in range(steps):
            asked = problem.ask(clean + delta, loss)
            yield
            length = LAST + (1 - LAST) * (1 + math.cos(math.pi * step / steps)) / 2
            radius = (radius * (1 - self.gamma)).where(asked.fooled, radius * (1 + self.gamma)).minimum(largest)
            moved = unit(delta + length * unit(asked.gradients)) * per_image(radius, clean)
            delta = (clean + moved).clamp(0, 1) - clean


def furthest(clean: Tensor) -> Tensor:
    """Return the distance in L2 to the furthest image in [0, 1], [n]."""
    return perturbation_size(torch.maximum(clean, 1 - clean), "l2")


def ddn(
    budget: Budget, gamma: Annotated[float, Gt(0), Lt(1)] = 0.05, init_norm: Annotated[float, Gt(0)] = 1.0
) -> MinimalNorm:
    return MinimalNorm(budget, DecoupledNorm(gamma, init_norm))


RECIPE = AttackRecipe(
    ddn,
    "The smallest L2 perturbation, on a sphere whose radius shrinks and grows (Rony et al., 2019).",
    norms=DecoupledNorm.norms,
)
