"""Scores of proportions and means with confidence intervals; correlation and linear regression.

SciPy is imported where it is used, because its import takes longer than all other imports of `bench show`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .types import Score

Z95 = 1.959963984540054  # the 97.5% quantile of the standard normal distribution
RESAMPLES = 10_000


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Compute Wilson's score interval of a proportion (1927).

    Args:
        successes: Number of successes; a sum of fractions is allowed.
        n: Number of trials.
        z: Normal quantile of the confidence level; the default is two-sided 95%.

    Returns:
        The lower and upper end; (0, 1) if n is 0.
    """
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (centre - half if successes > 0 else 0.0), (centre + half if successes < n else 1.0)


def clopper_pearson_lower(successes: ArrayLike, n: int, alpha: float) -> NDArray[np.float64]:
    """Compute the exact one-sided lower confidence bound of a proportion (Clopper and Pearson, 1934).

    Args:
        successes: Numbers of successes, of any shape.
        n: Number of trials.
        alpha: Probability that the bound exceeds the true proportion, at most.

    Returns:
        The p at which `successes` or more have probability `alpha`, shaped like `successes`; 0 without a success.
    """
    from scipy.special import betaincinv

    k = np.asarray(successes, dtype=np.float64)
    bound: NDArray[np.float64] = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, alpha), 0.0)
    return bound


def normal_quantile(p: ArrayLike) -> NDArray[np.float64]:
    """Compute the standard normal quantile `Phi^-1(p)`."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.asarray(p, dtype=np.float64)))


def bootstrap(values: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """Compute the 95% percentile bootstrap interval of a mean over images, from 10,000 resamples.

    The differences of two attacks on the same images give the paired bootstrap.

    Args:
        values: One number per image, [n].
        seed: Seed of the resampling; equal seeds and n give the same resamples.

    Returns:
        The lower and upper end; NaN without images.
    """
    data = np.asarray(values, dtype=np.float64)
    n = len(data)
    if n == 0:
        return math.nan, math.nan
    if np.all(data == data[0]):
        return float(data[0]), float(data[0])
    return _middle_95(bootstrap_means(data, seed))


def _middle_95(means: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5% and 97.5% quantiles, [n] with n > 1, as `np.quantile` does by default but three times as fast."""
    low, high = 0.025 * (len(means) - 1), 0.975 * (len(means) - 1)
    first, last = math.floor(low), math.floor(high)
    part = np.partition(means, (first, first + 1, last, last + 1))
    return _between(part, first, low - first), _between(part, last, high - last)


def _between(values: NDArray[np.float64], index: int, share: float) -> float:
    """Interpolate between the values at `index` and the next, from the nearer one so that the error is smaller."""
    low, high = float(values[index]), float(values[index + 1])
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def surely_positive(values: ArrayLike) -> bool:
    """Return whether the whole 95% `bootstrap` interval of a mean lies above zero; False without images.

    Nothing is resampled where the sign of the mean or of the values settles it: a resample's mean lies between the
    least and the greatest value, and at least 2.5% of the resamples have no greater mean than the values.
    """
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 0 or data.mean() <= 0:
        return False
    return bool(data.min() > 0 or bootstrap(data)[0] > 0)


def bootstrap_means(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Compute the means of bootstrap resamples over images.

    Args:
        values: One number per image, [n], n > 0.
        seed: Seed of the resampling; equal seeds and n give the same resamples.

    Returns:
        Means [10,000].
    """
    # not `@`: BLAS spreads it over threads that spin while they wait, ten times slower on a shared machine
    means: NDArray[np.float64] = np.einsum("ri,i->r", _weights(len(values), seed), values) / len(values)
    return means


@lru_cache(maxsize=1)
def _weights(n: int, seed: int) -> NDArray[np.float64]:
    """Draw how often each resample contains each image, [10,000, n].

    Cached, because all values of one n share them; in float64, because a product with a narrower type would copy them.
    """
    generator = np.random.default_rng(seed)
    weights = np.empty((RESAMPLES, n))
    for block in np.split(weights, 100):  # in blocks, because the integers drawn at once would double the memory
        block[:] = generator.multinomial(n, np.full(n, 1 / n), size=len(block))
    return weights


def proportion(
    name: str,
    outcomes: ArrayLike,
    labels: Mapping[str, Any] | None = None,
    images: NDArray[np.bool_] | NDArray[np.intp] | None = None,
) -> Score:
    """Build the score of a share of images, with Wilson's 95% interval.

    Args:
        name: Name of the score.
        outcomes: Whether each image counts, bool [n].
        labels: Labels that the metric adds.
        images: Which of the rows these are of (see `types.Score`); None for all, in order.

    Returns:
        The score; its value is NaN without images.
    """
    data = np.asarray(outcomes, dtype=np.float64)
    n, successes = len(data), float(data.sum())
    return Score(name, successes / n if n else math.nan, *wilson(successes, n), n, labels or {}, data, images)


def mean(
    name: str,
    values: ArrayLike,
    labels: Mapping[str, Any] | None = None,
    images: NDArray[np.bool_] | NDArray[np.intp] | None = None,
) -> Score:
    """Build the score of a mean over images, with its 95% bootstrap interval.

    Args:
        name: Name of the score.
        values: One number per image, [n].
        labels: Labels that the metric adds.
        images: Which of the rows these are of (see `types.Score`); None for all, in order.

    Returns:
        The score; its value is NaN without images.
    """
    data = np.asarray(values, dtype=np.float64)
    low, high = bootstrap(data)
    return Score(name, float(data.mean()) if len(data) else math.nan, low, high, len(data), labels or {}, data, images)


def pearson(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float]:
    """Compute Pearson's correlation and its 95% interval by Fisher's z transformation (1915).

    Args:
        x: Numbers [n].
        y: Numbers [n].

    Returns:
        The correlation and the lower and upper end of its interval. The interval is (-1, 1) for fewer than four points;
        all three are NaN for fewer than two points or if one of the lists is constant.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(xs) < 2 or np.ptp(xs) == 0 or np.ptp(ys) == 0:
        return math.nan, math.nan, math.nan
    r = float(np.clip(np.corrcoef(xs, ys)[0, 1], -1, 1))
    if len(xs) < 4:
        return r, -1.0, 1.0
    if abs(r) == 1:
        return r, r, r
    half = Z95 / math.sqrt(len(xs) - 3)
    return r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


@dataclass(frozen=True)
class Line:
    """A least-squares line through points, and the 95% confidence band of the mean of y at any x.

    Attributes:
        slope: Slope of the line.
        intercept: Value of the line at x = 0.
        centre: Mean of the points' x.
        spread: Sum of the squared distances of the points' x from `centre`.
        noise: Standard deviation of the residuals; NaN for fewer than three points.
        n: Number of points.
    """

    slope: float
    intercept: float
    centre: float
    spread: float
    noise: float
    n: int

    def at(self, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the line and the lower and upper edge of its band at `x`; the band is NaN below three points."""
        points = np.asarray(x, dtype=np.float64)
        y = self.intercept + self.slope * points
        if self.n < 3:
            return y, np.full_like(y, math.nan), np.full_like(y, math.nan)
        half = student_t(self.n - 2) * self.noise * np.sqrt(1 / self.n + (points - self.centre) ** 2 / self.spread)
        return y, y - half, y + half

    @property
    def slope_interval(self) -> tuple[float, float]:
        """The 95% confidence interval of the slope; NaN below three points."""
        if self.n < 3:
            return math.nan, math.nan
        half = student_t(self.n - 2) * self.noise / math.sqrt(self.spread)
        return self.slope - half, self.slope + half


def regression(x: ArrayLike, y: ArrayLike) -> Line:
    """Fit the least-squares line of y on x.

    Args:
        x: Numbers [n].
        y: Numbers [n].

    Returns:
        The line.

    Raises:
        ValueError: If x has no two different values.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centre = float(xs.mean()) if len(xs) else math.nan
    spread = float(np.sum((xs - centre) ** 2))
    if not spread > 0:
        raise ValueError("a line needs two points with different x")
    slope = float(np.sum((xs - centre) * (ys - ys.mean())) / spread)
    intercept = float(ys.mean() - slope * centre)
    residual = float(np.sum((ys - intercept - slope * xs) ** 2))
    noise = math.sqrt(residual / (len(xs) - 2)) if len(xs) > 2 else math.nan
    return Line(slope, intercept, centre, spread, noise, len(xs))


def student_t(degrees: int, two_sided: float = 0.95) -> float:
    """Compute the t with `P(|T| <= t) = two_sided` under Student's distribution.

    Args:
        degrees: Degrees of freedom, at least 1.
        two_sided: Probability of the interval [-t, t].

    Returns:
        The quantile t.
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + two_sided) / 2))
