"""The sign of Gaussian noise, a baseline that does not depend on any network (arXiv:2010.04055, sec. 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.types import AttackRecipe, Budget, Cost, Examples, Streams

from ..balls import BALLS
from ..step_rng import StepRng

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model


@dataclass(frozen=True)
class SignNoise:
    """`eps * sign(N(0, I))` (arXiv:2010.04055, sec. 5); in L2, Gaussian noise scaled to the Euclidean length eps."""

    budget: Budget
    cost: ClassVar[Cost] = Cost(0, 0)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        clean, ball = examples.images, BALLS[self.budget.norm]
        noise = StepRng(rng, 0, clean).normal("noise", clean.shape[1:])
        yield (clean + self.budget.eps * ball.direction(noise)).clamp(0, 1)


def sign_noise(budget: Budget) -> SignNoise:
    return SignNoise(budget)


RECIPE = AttackRecipe(sign_noise, "The sign of Gaussian noise, as large as the budget allows.")
