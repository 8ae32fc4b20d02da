"""The median of values of which some are infinite, with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bench_core.types import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z95 = 1.959964


def median(name: str, values: NDArray[np.float64]) -> Score:
    """Return the median of values, of which some may be infinite, as it may be then.

    Its 95% interval is between the order statistics whose ranks are quantiles of Binomial(n, 1/2), in its normal form.
    """
    count, ordered = len(values), np.sort(values)
    if not count:
        return Score(name, math.nan, math.nan, math.nan, 0)
    half = Z95 * math.sqrt(count) / 2
    low, high = max(0, math.floor(count / 2 - half)), min(count - 1, math.ceil(count / 2 + half))
    middle = float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return Score(name, middle, float(ordered[low]), float(ordered[high]), count)
