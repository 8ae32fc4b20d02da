"""Point clouds as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 72  # pixels
DOT = 2  # pixels, the side of a point
FAINTEST = 0.35  # brightness of the farthest point, on black


def picture(cloud: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw a cloud [3, p, 1] in [0, 1], seen along its second axis, as a grey image [1, SIDE, SIDE] in [0, 1].

    Near points are brighter, and hide far ones.
    """
    x, depth, height = np.clip(cloud[..., 0], 0, 1)
    column, row = (np.round(coordinate * (SIDE - DOT)).astype(int) for coordinate in (x, 1 - height))
    image = np.zeros((1, SIDE, SIDE), np.float32)
    for point in np.argsort(-depth, kind="stable"):
        brightness = 1 - (1 - FAINTEST) * depth[point]
        image[0, row[point] : row[point] + DOT, column[point] : column[point] + DOT] = brightness
    return image
