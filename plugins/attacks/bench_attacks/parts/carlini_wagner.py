"""Carlini and Wagner's attack in L2 (2017; arXiv:1608.04644)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from bench_core.types import AttackRecipe, Budget, Cost

from ..adam import Adam
from ..balls import per_image
from ..compose import Count
from ..minimal_norm import Asked, MinimalNorm, Problem, attack_margin

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Norm
else:
    from bench_core.lazy import torch

ALMOST_ONE = 1 - 1e-6  # so that black and white images have finite coordinates
UNBOUNDED = 1e10  # the upper end of the weights
MOST_SEARCHES = 9  # as in the authors' code
LEAST_STEPS = 100  # of a search: a tenth of the authors' 1000, after which their code first looks for progress


@dataclass(frozen=True)
class Weights:
    """The weight c of the margin for each image, and the interval in which it is searched, [n] each."""

    weight: Tensor
    low: Tensor
    high: Tensor

    def update(self, fooled: Tensor) -> Weights:
        """Halve the interval, or multiply the weight by ten as long as no weight fooled the network."""
        high = self.high.minimum(self.weight).where(fooled, self.high)
        low = self.low.where(fooled, self.low.maximum(self.weight))
        bounded = high < UNBOUNDED
        weight = ((low + high) / 2).where(bounded, 10 * self.weight)
        return Weights(weight, low, high)


@dataclass(frozen=True)
class CarliniWagner:
    """Adam on `norm_2(delta)^2 + c * max(-margin, 0)`, with `x = (tanh(w) + 1) / 2` to stay in [0, 1].

    The weight c is found by bisection, in searches that share the steps of the budget evenly. The first step evaluates
    the point from which all of them start. A search never ends before its steps are used up: the authors' code ends it
    when the images of the batch stall.

    The authors' code makes nine searches, and multiplies its first weight of 0.001 by ten until one is large enough.
    With few steps, these are short searches, most of which have a weight that is too small. Here there are as many, up
    to nine, as have 100 steps each, and the first weight is 1, the only weight that torchattacks' version tries;
    `benchmarks/minimal_norms.py` compares. Nine searches from 0.001 on are the published attack.

    Attributes:
        searches: The number of searches, or None for as many as have enough steps.
        step_size: The length of Adam's steps.
        first_weight: The weight of the first search.
    """

    searches: int | None
    step_size: float
    first_weight: float
    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    can_target: ClassVar[bool] = True
    cost: ClassVar[Cost] = Cost()

    def run(self, problem: Problem) -> Iterator[None]:
        clean, steps = problem.clean, problem.budget.steps - 1
        start = torch.atanh((2 * clean - 1) * ALMOST_ONE)
        first = problem.ask((start.tanh() + 1) / 2, attack_margin)
        yield
        weight = torch.full_like(problem.distances, self.first_weight)
        weights = Weights(weight, torch.zeros_like(weight), torch.full_like(weight, UNBOUNDED))
        searches = self.searches or max(1, min(MOST_SEARCHES, steps // LEAST_STEPS))
        for search in range(searches):
            at, asked, adam, fooled = start, first, Adam.init(clean), first.fooled
            for _ in range((search + 1) * steps // searches - search * steps // searches):
                direction, adam = adam.update(self._gradient(at, asked, weights.weight, clean))
                at = at + self.step_size * direction
                asked = problem.ask((at.tanh() + 1) / 2, attack_margin)
                yield
                fooled = fooled | asked.fooled
            weights = weights.update(fooled)

    def _gradient(self, at: Tensor, asked: Asked, weight: Tensor, clean: Tensor) -> Tensor:
        """Return the gradient [n, c, h, w] of the objective in w."""
        points, losing = (at.tanh() + 1) / 2, per_image(weight * (asked.margins <= 0), clean)
        return (2 * (points - clean) - losing * asked.gradients) * (1 - at.tanh().square()) / 2


def carlini_wagner(
    budget: Budget,
    searches: Count | None = None,
    step_size: Annotated[float, Gt(0)] = 0.01,
    first_weight: Annotated[float, Gt(0)] = 1.0,
) -> MinimalNorm:
    return MinimalNorm(budget, CarliniWagner(searches, step_size, first_weight))


RECIPE = AttackRecipe(
    carlini_wagner,
    "The smallest L2 perturbation, weighed against the margin (Carlini and Wagner, 2017).",
    norms=CarliniWagner.norms,
)
