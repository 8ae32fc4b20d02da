"""Asymptotically normal distribution attack (Fang et al., CVPR 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ..compose import Share, recipe
from ..gradient_attack import GradientAttack
from .mi import Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Translated:
    """Copies that are translated to all places of a grid of `side` x `side` shifts.

    The shifts are linear over [-reach, reach], in units of half the image's side, with bilinear interpolation and zeros
    outside the image. They are those of the authors' code. The gradient goes through the translation.
    """

    side: int
    reach: float
    through: bool = True

    @property
    def count(self) -> int:
        return self.side**2

    def check(self, _shape: tuple[int, int, int]) -> None:
        return None

    def apply(self, images: Tensor, _run: RunState) -> Tensor:
        shares = [self.reach * (2 * i / (self.side - 1) - 1) for i in range(self.side)]
        height, width = images.shape[-2:]
        across = [shifted(images, share * width / 2, -1) for share in shares]
        return torch.stack([shifted(row, share * height / 2, -2) for row in across for share in shares], dim=1)


def shifted(images: Tensor, by: float, axis: int) -> Tensor:
    """Return images whose pixel i along an axis, -1 or -2, is that at i + `by` of the given ones; 0 outside."""
    whole, before = math.floor(by), (0, 0) if axis == -2 else ()
    part = by - whole

    def moved(count: int) -> Tensor:
        return torch.nn.functional.pad(images, (*before, -count, count))

    return (1 - part) * moved(whole) + part * moved(whole + 1)


def anda(attack: GradientAttack, *, shifts: Annotated[int, Ge(2)] = 5, shift_reach: Share = 0.3) -> GradientAttack:
    """Step along the mean gradient over translated copies in all steps so far (Fang et al., 2024).

    This is the authors' default, which takes the mean of the gradients' distribution. Its form that samples from it in
    the last step, and MultiANDA, are not offered. Their code and TransferAttack take one image at a time. The
    translated copies can be combined with attacks that query other points, and a momentum can follow the mean.

    Args:
        attack: The attack.
        shifts: The number of shifts along each axis; there are `shifts` x `shifts` copies.
        shift_reach: The largest shift, in units of half the image's side.
    """
    translated = attack.add_views(Translated(shifts, shift_reach))
    return translated.with_filters(*attack.filters, Momentum("average"))


RECIPE = recipe(anda, small={"shifts": 2})
