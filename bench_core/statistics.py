"""Intervals: Wilson for a proportion, bootstrap over images for a mean or a paired difference; correlation and
regression over points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
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
    return (centre - half if successes > 0 else 0.0), (centre + half if successes < n else 1.0)


def clopper_pearson_lower(successes: ArrayLike, n: int, alpha: float) -> NDArray[np.float64]:
    """Give the exact one-sided lower bound of a proportion (Clopper and Pearson, 1934), of confidence 1 - `alpha`.

    It is the p under which `successes` or more of n have probability `alpha`; 0 where there is no success.
    """
    from scipy.special import betaincinv

    k = np.asarray(successes, dtype=np.float64)
    bound: NDArray[np.float64] = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, alpha), 0.0)
    return bound


def normal_quantile(p: ArrayLike) -> NDArray[np.float64]:
    """Give Phi^-1(p), the standard normal quantile."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.asarray(p, dtype=np.float64)))


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
    low, high = np.quantile(bootstrap_means(data, seed), [0.025, 0.975])
    return float(low), float(high)


def bootstrap_means(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Give the means [10,000] of resamples over images; `values` float [n], n > 0."""
    # no `@`, which BLAS spreads over threads that wait for each other by spinning: ten times slower on a shared machine
    means: NDArray[np.float64] = np.einsum("ri,i->r", _weights(len(values), seed), values) / len(values)
    return means


@lru_cache(maxsize=1)
def _weights(n: int, seed: int) -> NDArray[np.float64]:
    """How often each resample draws each image: the same for all values of one n, so drawn once, and kept in the type
    of the values, as whose a product of a narrower one would have to copy it every time."""
    generator = np.random.default_rng(seed)
    weights = np.empty((RESAMPLES, n))
    for block in np.split(weights, 100):  # drawn at once, the integers would hold as much memory again
        block[:] = generator.multinomial(n, np.full(n, 1 / n), size=len(block))
    return weights


def proportion(
    name: str,
    outcomes: ArrayLike,
    labels: Mapping[str, Any] | None = None,
    images: NDArray[np.bool_] | NDArray[np.intp] | None = None,
) -> Score:
    """Return the score of a share of images, with Wilson's interval.

    Args:
        name: The score's name.
        outcomes: bool [n].
        labels: The labels that the metric adds.
        images: Which of the rows the outcomes are of (see `Score`); None for all, in order.
    """
    data = np.asarray(outcomes, dtype=np.float64)
    n = len(data)
    low, high = wilson(float(data.sum()), n)
    return Score(name, float(data.mean()) if n else math.nan, low, high, n, labels or {}, data, images)


def mean(
    name: str,
    values: ArrayLike,
    labels: Mapping[str, Any] | None = None,
    images: NDArray[np.bool_] | NDArray[np.intp] | None = None,
) -> Score:
    """Return the score of a mean over images, with its bootstrap interval.

    Args:
        name: The score's name.
        values: float [n].
        labels: The labels that the metric adds.
        images: Which of the rows the values are of (see `Score`); None for all, in order.
    """
    data = np.asarray(values, dtype=np.float64)
    low, high = bootstrap(data)
    return Score(name, float(data.mean()) if len(data) else math.nan, low, high, len(data), labels or {}, data, images)


def pearson(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float]:
    """Give Pearson's correlation of two lists of numbers and its 95% interval by Fisher's z (1915).

    The interval is (-1, 1) below four points; all is NaN where one list is constant.
    """
    one, other = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan, math.nan, math.nan
    r = float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))
    if len(one) < 4:
        return r, -1.0, 1.0
    if abs(r) == 1:
        return r, r, r
    half = Z95 / math.sqrt(len(one) - 3)
    return r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


@dataclass(frozen=True)
class Line:
    """A least-squares line through n points, and the 95% band of the mean of y at any x."""

    slope: float
    intercept: float
    centre: float
    spread: float
    noise: float
    n: int

    def at(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Give the line and the lower and upper edge of its band at `x`; the band is NaN below three points."""
        place = np.asarray(x, dtype=np.float64)
        y = self.intercept + self.slope * place
        if self.n < 3:
            return y, np.full_like(y, math.nan), np.full_like(y, math.nan)
        half = student_t(self.n - 2) * self.noise * np.sqrt(1 / self.n + (place - self.centre) ** 2 / self.spread)
        return y, y - half, y + half

    @property
    def slope_interval(self) -> tuple[float, float]:
        """Give the 95% interval of the slope; NaN below three points."""
        if self.n < 3:
            return math.nan, math.nan
        half = student_t(self.n - 2) * self.noise / math.sqrt(self.spread)
        return self.slope - half, self.slope + half


def regression(x: ArrayLike, y: ArrayLike) -> Line:
    """Fit the least-squares line of y on x. Raises ValueError where x has no two different values."""
    one, other = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centre = float(one.mean()) if len(one) else math.nan
    spread = float(np.sum((one - centre) ** 2))
    if not spread > 0:
        raise ValueError("a line needs two points with different x")
    slope = float(np.sum((one - centre) * (other - other.mean())) / spread)
    intercept = float(other.mean() - slope * centre)
    residual = float(np.sum((other - intercept - slope * one) ** 2))
    noise = math.sqrt(residual / (len(one) - 2)) if len(one) > 2 else math.nan
    return Line(slope, intercept, centre, spread, noise, len(one))


def student_t(degrees: int, two_sided: float = 0.95) -> float:
    """Return t with P(|T| <= t) = `two_sided` under Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + two_sided) / 2))
