"""Fast minimum norm (Pintor et al., 2021; arXiv:2102.12827)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from bench_core.norms import perturbation_size
from bench_core.types import AttackRecipe, Budget, Cost

from ..balls import per_image, unit
from ..minimal_norm import Asked, MinimalNorm, Problem, attack_margin
from ..sparse import project_l0, project_l1

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm
else:
    from bench_core.lazy import torch


# onto balls of radii [n], without regard to the image range, to which the result is clipped; in L2 onto the sphere
PROJECTIONS: MappingProxyType[Norm, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "l2": lambda delta, radius: unit(delta) * per_image(radius, delta),
        "linf": lambda delta, radius: delta.clamp(-per_image(radius, delta), per_image(radius, delta)),
        "l1": project_l1,
        "l0": lambda delta, radius: project_l0(delta, radius.clamp(min=1)),
    }
)
DUAL: MappingProxyType[Norm, float] = MappingProxyType({"linf": 1.0, "l2": 2.0, "l1": math.inf})


@dataclass(frozen=True)
class FastMinimumNorm:
    """Steps along the gradient of the margin, each projected onto a ball whose radius is adapted.

    Until an image has fooled the network, the radius is its estimated distance from the boundary, but in L2 and L1 it
    grows by the share gamma at least. Then it shrinks by this share when the image fools the network, and grows by it
    otherwise. In L0 it is a number of pixels, and changes by one at least. The length alpha of a step in L2 and gamma
    fall in a cosine to their last values.

    As published (`growing` false), the first radius is the estimate alone. Where the margin is steep, that is far
    shorter than a step, so each step discards the perturbation before it, and the search stays near the clean image. In
    L-inf a projection keeps the small values of a perturbation, and the estimate is enough.

    Eps does not bound the radius: from an image further away that fools the network, a search shrinks into the ball.
    """

    alpha: float
    gamma: float
    last_gamma: float
    overshoot: float
    growing: bool
    norms: ClassVar[tuple[Norm, ...]] = ("l2", "linf", "l1", "l0")
    can_target: ClassVar[bool] = True
    cost: ClassVar[Cost] = Cost()

    def run(self, problem: Problem) -> Iterator[None]:
        clean, norm, steps = problem.clean, problem.budget.norm, problem.budget.steps
        delta, project = torch.zeros_like(clean), PROJECTIONS[norm]
        largest = perturbation_size(torch.maximum(clean, 1 - clean), norm)
        radius = torch.full_like(largest, 1 if norm == "l0" else 0)
        found = torch.zeros_like(largest, dtype=torch.bool)
        grows = self.growing and norm in ("l2", "l1")
        for step in range(steps):
            asked = problem.ask(clean + delta, attack_margin)
            yield
            cosine = (1 + math.cos(math.pi * step / steps)) / 2
            alpha = self.alpha * (0.01 + 0.99 * cosine)
            gamma = self.last_gamma + (self.gamma - self.last_gamma) * cosine
            found = found | asked.fooled
            if norm == "l0":
                radius = pixels(radius, gamma, asked.fooled, problem.distances)
            else:
                outside = perturbation_size(delta, norm) + (1 + self.overshoot) * to_boundary(asked, norm)
                grown = radius * (1 + gamma)
                larger = grown.where(found, outside.maximum(grown) if grows else outside)
                smaller = (radius * (1 - gamma)).minimum(problem.distances)
                radius = smaller.where(asked.fooled, larger)
            radius = radius.minimum(largest)
            delta = project(delta + alpha * unit(asked.gradients), radius)
            delta = (clean + delta).clamp(0, 1) - clean


def to_boundary(asked: Asked, norm: Norm) -> Tensor:
    """Return the distances [n] at which the margins would be zero if the network were linear."""
    slopes: Tensor = torch.linalg.vector_norm(asked.gradients.flatten(1), ord=DUAL[norm], dim=1)
    return asked.margins.abs() / slopes.clamp(min=1e-12)


def pixels(radius: Tensor, gamma: float, fooled: Tensor, best: Tensor) -> Tensor:
    """Return the next numbers of pixels [n]."""
    fewer = (radius - 1).minimum((radius * (1 - gamma)).floor()).minimum(best)
    more = (radius + 1).maximum((radius * (1 + gamma)).floor())
    return fewer.where(fooled, more).clamp(min=0)


def fmn(
    budget: Budget,
    alpha: Annotated[float, Gt(0)] = 1.0,
    gamma: Annotated[float, Gt(0), Lt(1)] = 0.05,
    last_gamma: Annotated[float, Ge(0), Lt(1)] = 0.001,
    overshoot: Annotated[float, Ge(0)] = 0.0,
    growing: bool = True,
) -> MinimalNorm:
    return MinimalNorm(budget, FastMinimumNorm(alpha, gamma, last_gamma, overshoot, growing))


RECIPE = AttackRecipe(
    fmn,
    "The smallest perturbation in any norm, on a ball whose radius shrinks and grows (Pintor et al., 2021).",
    norms=FastMinimumNorm.norms,
)
