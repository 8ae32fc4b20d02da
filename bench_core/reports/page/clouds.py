"""Point clouds as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 72  # pixels
DOT = 2  # pixels, the side of a point
FAINTEST = 0.35  # brightness of the farthest point, on black


def picture(cloud: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw a cloud [3, p, 1] in [0, 1] as seen along its second axis: [1, 72, 72], near points brighter."""
    across, depth, up = np.clip(cloud[..., 0], 0, 1)
    column, row = (np.round(place * (SIDE - DOT)).astype(int) for place in (across, 1 - up))
    drawn = np.zeros((1, SIDE, SIDE), np.float32)
    for point in np.argsort(-depth, kind="stable"):
        bright = 1 - (1 - FAINTEST) * depth[point]
        drawn[0, row[point] : row[point] + DOT, column[point] : column[point] + DOT] = bright
    return drawn
