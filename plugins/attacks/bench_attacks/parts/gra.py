"""Gradient relevance (Zhu et al., ICCV 2023)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from annotated_types import Ge, Le

from ..balls import per_image, unit
from ..compose import Count, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from ..offsets import LENGTHS, Neighbours
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Budget

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Relevant:
    """`s * g + (1 - s) * n` with the gradient g at the image, the mean n over neighbours, and `s = cos(g, n)`.

    The neighbours are drawn uniformly from a box, and not clipped to [0, 1].
    """

    neighbours: Neighbours
    norms: ClassVar = LENGTHS

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(1 + self.neighbours.count)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        near = images[:, None] + self.neighbours.offsets(images, run)
        answer = yield Query(torch.cat([images[:, None], near], dim=1))
        here, around = answer.gradients[:, 0], answer.gradients[:, 1:].mean(1)
        cosine = per_image((unit(here) * unit(around)).flatten(1).sum(1), images)
        return cosine * here + (1 - cosine) * around, None


class Decayed(NamedTuple):
    """The factor of each pixel's step, and the signs of the last step, both [n, c, h, w]."""

    factor: Tensor
    sign: Tensor


@dataclass(frozen=True)
class DecayIndicator:
    """A step whose length at each pixel is multiplied by `decay` whenever the direction's sign changes there.

    The factor starts at `1 / decay`, so that it is 1 in the first step.
    """

    decay: float

    def check(self, _budget: Budget) -> None:
        return None

    def init(self, images: Tensor) -> Decayed:
        return Decayed(torch.full_like(images, 1 / self.decay), torch.zeros_like(images))

    def move(self, direction: Tensor, length: float | Tensor, state: Decayed, _run: RunState) -> tuple[Tensor, Decayed]:
        sign = direction.sign()
        factor = state.factor.where(sign == state.sign, self.decay * state.factor)
        return length * factor * direction, Decayed(factor, sign)


def gra(
    attack: GradientAttack,
    *,
    neighbours: Count = 20,
    beta: Annotated[float, Ge(0)] = 3.5,
    eta: Annotated[float, Ge(1e-3), Le(1)] = 0.94,
    decay: Decay = 1.0,
) -> GradientAttack:
    """Mix the gradient with that of its surroundings by their cosine; shorten steps that go back (Zhu et al., 2023).

    As in the authors' code and in TransferAttack, except that the cosine with a gradient of zero is 0 here, not NaN.

    Args:
        attack: The attack.
        neighbours: The number of points near the image.
        beta: Their largest distance from it, in units of the budget's eps (in L2 spread evenly over all pixels).
        eta: The factor of a pixel's step after a change of sign.
        decay: The decay of the momentum.
    """
    near = Neighbours(neighbours, beta * attack.budget.eps, attack.budget.norm)
    relevant = attack.set_once(estimator=Relevant(near), step_rule=DecayIndicator(eta))
    return relevant.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(gra, small={"neighbours": 3})
