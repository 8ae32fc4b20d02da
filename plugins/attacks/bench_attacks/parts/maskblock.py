"""MaskBlock (Fan et al., 2022; arXiv:2208.06538)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from bench_core.types import Rejection

from ..compose import recipe
from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class MaskedCopies:
    """The copies `x * M_ij`, where `M_ij` is 0 in cell (i, j) of a grid of `grid` x `grid` cells and 1 elsewhere.

    TransferAttack fixes the cells at 56 x 56 pixels, 16 of them at 224 pixels, and never masks the pixels that remain
    at the right and the bottom of other sizes. Here the number of cells is fixed, and they cover the image: their sides
    differ by at most one pixel.
    """

    grid: int
    through: bool = True

    @property
    def count(self) -> int:
        return self.grid**2

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        most = min(shape[1:])
        if self.grid > most:
            return Rejection("mask_grid", f"found {self.grid} cells along {most} pixels (try {most})")
        return None

    def apply(self, images: Tensor, _run: RunState) -> Tensor:
        rows, columns = (torch.arange(side, device=images.device) * self.grid // side for side in images.shape[-2:])
        cells = rows[:, None] * self.grid + columns
        hidden = cells == torch.arange(self.count, device=images.device).view(-1, 1, 1, 1)
        return images[:, None].masked_fill(hidden, 0)


def maskblock(attack: GradientAttack, *, mask_grid: Annotated[int, Ge(2)] = 4) -> GradientAttack:
    """Average the loss over copies that lack one cell of a grid each (Fan et al., 2022).

    The published attack has a momentum (`mi`) and steps of eps / 8.

    Args:
        attack: The attack.
        mask_grid: The number of cells along each side. Each cell costs one forward and one backward pass.
    """
    return attack.add_views(MaskedCopies(mask_grid))


RECIPE = recipe(maskblock, small={"mask_grid": 2})
