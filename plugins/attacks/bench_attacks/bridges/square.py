"""The image sizes that the Square attack in l2 can start on (Andriushchenko et al., 2020; arXiv:1912.00049)."""

from __future__ import annotations

import math

from bench_core.types import Rejection

P_INIT = 0.8  # the libraries' default of the share of pixels in the first square


def check_l2_square(shape: tuple[int, int, int], p_init: float = P_INIT) -> Rejection | None:
    """Return why the authors' code, which other libraries copy, raises on images of a shape; None if it does not.

    It tiles the image with squares of a fifth of its height, and some tilings cross the border. Its first squares must
    also fit into the image.
    """
    _, height, width = shape
    if _tiles(height, width) and _first_side(height, width, p_init) <= min(height, width):
        return None
    works = next(side for side in range(max(height, width, 5), 2 * max(height, width, 5)) if _works(side, p_init))
    hint = f"(try images of {works}x{works}, or a budget in linf)"
    return Rejection("recipe", f"Square in l2 cannot place its squares on images of {height}x{width} {hint}")


def _works(side: int, p_init: float) -> bool:
    return _tiles(side, side) and _first_side(side, side, p_init) <= side


def _tiles(height: int, width: int) -> bool:
    side = height // 5
    start = (height - 5 * side) // 2
    fits = side > 0 and all(start + length // side * side <= length for length in (height, width))
    return side == 1 or fits  # a tile of one pixel outside the image is ignored


def _first_side(height: int, width: int, p_init: float) -> int:
    side = max(round(math.sqrt(p_init * height * width)), 3)
    return side + 1 if side % 2 == 0 else side
