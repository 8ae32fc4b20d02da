"""Images as games: the cells of an L x L grid are the players, a coalition is the set of cells that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def grid_fault(grid: int, shape: tuple[int, int, int]) -> str | None:
    """Say why images of shape (c, h, w) cannot be divided into a `grid` x `grid` of equal cells, if they cannot."""
    _, height, width = shape
    if height % grid == 0 and width % grid == 0:
        return None
    fitting = [str(side) for side in range(1, min(height, width) + 1) if height % side == 0 and width % side == 0]
    return f"grid: found {grid}, which does not divide {height} x {width} pixels (would do: {', '.join(fitting)})"


def cells_to_pixels(kept: Tensor, grid: int, size: Sequence[int]) -> Tensor:
    """Spread cells over pixels: `kept` [n, k, grid * grid] -> [n, k, 1, h, w], rows of cells first."""
    height, width = size
    squares: Tensor = kept.unflatten(-1, (1, grid, grid))
    return squares.repeat_interleave(height // grid, -2).repeat_interleave(width // grid, -1)
