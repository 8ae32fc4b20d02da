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


FAR = 1e6  # times the image range


@dataclass(frozen=True)
class SignNoise:
    """`eps * sign(N(0, I))` (arXiv:2010.04055, sec. 5); in L2, Gaussian noise scaled to the Euclidean length eps.

    In L1 and L0 it is salt-and-pepper noise: values or pixels change to 0 or 1 until the budget is used up.
    """

    budget: Budget
    cost: ClassVar[Cost] = Cost(0, 0)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        clean, ball = examples.images, BALLS[self.budget.norm]
        noise = StepRng(rng, 0, clean).normal("noise", clean.shape[1:])
        if self.budget.norm in ("l1", "l0"):  # from far outside, the projection is to corners of the image range
            corners = ball.project(FAR * noise.double(), self.budget.eps, clean.double())
            yield (clean + corners.to(clean)).clamp(0, 1)
            return
        yield (clean + self.budget.eps * ball.direction(noise, clean)).clamp(0, 1)


def sign_noise(budget: Budget) -> SignNoise:
    return SignNoise(budget)


RECIPE = AttackRecipe(sign_noise, "The sign of Gaussian noise, as large as the budget allows.")
