"""Gaussian noise of a given Euclidean length, a baseline that does not depend on any network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt

from bench_core.types import AttackRecipe, Budget, Cost, Examples, Rejection, Streams

from ..balls import per_image
from ..step_rng import StepRng

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

BISECTIONS = 60  # of the interval of scales; enough for float64


@dataclass(frozen=True)
class GaussianNoise:
    """Gaussian noise of a given Euclidean `length`, inside the ball and the image range.

    The noise of each image is scaled so that after clipping it has this length, or the greatest length that the ball
    and the image range allow. Without a `length`, it is eps in L2; in L-inf the noise is scaled so that its largest
    entry is eps.
    """

    budget: Budget
    length: float | None
    cost: ClassVar[Cost] = Cost(0, 0)

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        if self.budget.norm in ("l1", "l0"):
            found = f"found a budget in {self.budget.norm}, but Gaussian noise changes all pixels"
            return Rejection("norm", f'{found} (try recipe = "noise")')
        if self.length is None or self.budget.norm != "l2" or self.length <= self.budget.eps:
            return None
        return Rejection("length", f"found {self.length:g}, more than the budget's eps {self.budget.eps:g}")

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:  # noqa: ARG002
        clean, eps = examples.images, self.budget.eps
        noise = StepRng(rng, 0, clean).normal("noise", clean.shape[1:]).double()
        if self.length is None and self.budget.norm == "linf":
            largest = per_image(noise.flatten(1).abs().amax(1), noise)
            yield (clean + (eps * noise / largest).to(clean)).clamp(0, 1)
            return
        length = eps if self.length is None else self.length

        def clipped(scale: Tensor) -> Tensor:
            in_ball = (scale * noise).clamp(-eps, eps) if self.budget.norm == "linf" else scale * noise
            return (clean + in_ball).clamp(0, 1) - clean

        low = torch.zeros_like(per_image(noise.flatten(1)[:, 0], noise))
        high = low + 1 / noise.abs().amin().clamp(min=1e-9)  # large enough that a longer scale changes no clipped entry
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            short = per_image(clipped(middle).flatten(1).norm(dim=1), noise) < length
            low, high = middle.where(short, low), high.where(short, middle)
        yield (clean + clipped(low).to(clean)).clamp(0, 1)


def gaussian_noise(budget: Budget, length: Annotated[float, Gt(0)] | None = None) -> GaussianNoise:
    return GaussianNoise(budget, length)


RECIPE = AttackRecipe(gaussian_noise, "Gaussian noise of a given Euclidean length.")
