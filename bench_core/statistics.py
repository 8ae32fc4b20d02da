"""Intervals: Wilson for a proportion, bootstrap over images for a mean or a paired difference. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .types import Score

Z95 = 1.959963984540054
RESAMPLES = 10_000


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Give Wilson's score interval (1927) of a proportion; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """Give the 95% percentile interval of the mean over images, from 10,000 resamples; NaN without images.

    Give it the differences of two attacks on the same images, and it is the paired bootstrap.
    """
    data = np.asarray(values, dtype=np.float64)
    n = len(data)
    if n == 0:
        return math.nan, math.nan
    if np.all(data == data[0]):
        return float(data[0]), float(data[0])
    low, high = np.quantile(_weights(n, seed) @ data / n, [0.025, 0.975])
    return float(low), float(high)


_kept: dict[tuple[int, int], NDArray[np.float32]] = {}


def _weights(n: int, seed: int) -> NDArray[np.float32]:
    """How often each resample draws each image: the same for all values of one n, so drawn once."""
    if (n, seed) not in _kept:
        _kept.clear()
        generator = np.random.default_rng(seed)
        _kept[n, seed] = generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float32)
    return _kept[n, seed]


def proportion(name: str, outcomes: ArrayLike, labels: Mapping[str, Any] | None = None) -> Score:
    """Make the score of a share of images, with Wilson's interval. `outcomes` bool [n]."""
    data = np.asarray(outcomes, dtype=np.float64)
    n = len(data)
    low, high = wilson(float(data.sum()), n)
    return Score(name, float(data.mean()) if n else math.nan, low, high, n, labels or {}, data)


def mean(name: str, values: ArrayLike, labels: Mapping[str, Any] | None = None) -> Score:
    """Make the score of a mean over images, with its bootstrap interval. `values` float [n]."""
    data = np.asarray(values, dtype=np.float64)
    low, high = bootstrap(data)
    return Score(name, float(data.mean()) if len(data) else math.nan, low, high, len(data), labels or {}, data)
