"""A part that can be combined with those of bench: a filter that averages the last gradients of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from bench_attacks.api import GradientAttack, RunState, mean_unit, recipe
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

if TYPE_CHECKING:
    from torch import Tensor

BENCH_API_VERSION = 1


@dataclass(frozen=True)
class Smoothed:
    """`g <- keep * g + (1 - keep) * gradient / mean(abs(gradient))`, separately for each image."""

    keep: float

    def init(self, images: Tensor) -> Tensor:
        return images.new_zeros(images.shape)

    def update(self, gradient: Tensor, state: Tensor, _run: RunState) -> tuple[Tensor, Tensor]:
        smoothed = self.keep * state + (1 - self.keep) * mean_unit(gradient)
        return smoothed, smoothed


def acme_part(attack: GradientAttack, *, keep: Annotated[float, Ge(0), Lt(1)] = 0.5) -> GradientAttack:
    """Smooth the gradient over the steps."""
    return attack.with_filters(*attack.filters, Smoothed(keep))


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {"acme_part": recipe(acme_part)}
