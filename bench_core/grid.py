"""Images as coalition games: the cells of a square grid are the players, and a coalition is the set of cells shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def grid_fault(grid: int, shape: tuple[int, int, int]) -> str | None:
    """Check that images can be divided into equal cells.

    Args:
        grid: Cells per side.
        shape: Shape (c, h, w) of one image.

    Returns:
        A message that begins with the option it concerns, "grid: ", and lists the grids that fit; or None.
    """
    _, height, width = shape
    if height % grid == 0 and width % grid == 0:
        return None
    fitting = [str(side) for side in range(1, min(height, width) + 1) if height % side == 0 and width % side == 0]
    return f"grid: found {grid}, which does not divide {height} x {width} pixels (try {', '.join(fitting)})"


def cells_to_pixels(kept: Tensor, grid: int, size: Sequence[int]) -> Tensor:
    """Expand a mask of cells to a mask of pixels.

    Args:
        kept: Mask of cells [n, k, grid * grid], numbered row by row.
        grid: Cells per side.
        size: Height and width of the images, in pixels; both multiples of `grid`.

    Returns:
        Mask of pixels [n, k, 1, h, w].
    """
    height, width = size
    squares: Tensor = kept.unflatten(-1, (1, grid, grid))
    return squares.repeat_interleave(height // grid, -2).repeat_interleave(width // grid, -1)
