"""Paired tests of two runs on the same images, and the smallest drop that they could have detected.

All tests are one-sided: only a change in the harmful direction is tested for. SciPy is imported when a test runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..statistics import RESAMPLES, bootstrap_means

NEGLIGIBLE = 1e-12  # numbers of flips that are less probable are left out when a power is summed
PRECISION = 1e-4  # of the smallest detectable drop: a hundredth of a percentage point


def mcnemar(worse: int, better: int) -> float:
    """Return the exact one-sided p of McNemar's test (1947).

    It is the probability that at least `worse` of `worse + better` flips are harmful if both directions are equally
    likely.
    """
    return float(_at_least(worse, worse + better, 0.5))


def _at_least(least: ArrayLike, n: int, p: float) -> NDArray[np.float64]:
    """Return P(X >= least) of a binomial X."""
    from scipy.special import bdtrc

    counts = np.asarray(least)
    # where the count is above n the probability is 0, and bdtrc is not defined
    tails: NDArray[np.float64] = np.where(counts > n, 0.0, bdtrc(np.minimum(counts, n) - 1.0, n, p))
    return tails


def _binomial(n: int, p: float) -> NDArray[np.float64]:
    """Return P(X = k) of a binomial X for all k from 0 to n."""
    from scipy.special import gammaln, xlog1py, xlogy

    k = np.arange(n + 1)
    chosen = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    chances: NDArray[np.float64] = np.exp(chosen + xlogy(k, p) + xlog1py(n - k, -p))
    return chances


@lru_cache(maxsize=100_000)
def critical(flips: int, level: float) -> int:
    """Return the fewest harmful flips out of `flips` that are significant at a level; `flips + 1` if no number is."""
    tails = _at_least(np.arange(flips + 1), flips, 0.5)
    return int(np.sum(tails > level * (1 + 1e-9)))


def mcnemar_power(n: int, drop: float, churn: float, level: float, margin: float) -> float:
    """Compute the exact probability that McNemar's test detects a true drop, summed over the number of flips.

    Args:
        n: The number of images.
        drop: The share of images that flip in the harmful direction because of the drop.
        churn: The share that flips by chance, in each direction.
        level: The level at which the drop must be significant.
        margin: The measured drop must be larger than this.
    """
    rate = min(1.0, 2 * churn + drop)
    if rate <= 0:
        return 0.0
    harmful = min(1.0, (churn + drop) / rate)
    chances = _binomial(n, rate)
    power = 0.0
    for flips in np.flatnonzero(chances > NEGLIGIBLE):
        more_than_margin = math.floor((flips + margin * n + 1e-9) / 2) + 1
        needed = max(critical(int(flips), level), more_than_margin)
        power += chances[flips] * float(_at_least(needed, int(flips), harmful))
    return float(power)


@lru_cache(maxsize=10_000)
def smallest_drop(n: int, flips: int, level: float, margin: float, power: float) -> float:
    """Return the smallest drop of a proportion that is detected with probability `power`; NaN if none is.

    Args:
        n: The number of images.
        flips: The number of images that changed between the two runs. The same number is assumed to change by chance,
            half of them in each direction.
        level: As for `mcnemar_power`.
        margin: As for `mcnemar_power`.
        power: The wanted probability.
    """
    churn = flips / (2 * n) if n else 0.0
    low, high = 0.0, 1 - 2 * churn
    if n == 0 or mcnemar_power(n, high, churn, level, margin) < power:
        return math.nan
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if mcnemar_power(n, middle, churn, level, margin) < power else (low, middle)
    return high


def bootstrap_p(harm: ArrayLike) -> float:
    """Return the one-sided p of a mean harm above zero: the share of 10,000 resamples with a mean of zero or less.

    If no resample has such a mean, p is the normal tail, at most 1 / 10,000: a larger p could not stay significant
    after a correction for many scores. If all images changed by the same amount, p is that of the sign test.
    """
    data = np.asarray(harm, dtype=np.float64)
    if len(data) == 0 or np.ptp(data) == 0:
        return 0.5 ** len(data) if len(data) and data[0] > 0 else 1.0
    means = bootstrap_means(data)
    below = int(np.sum(means <= 0))
    if below:
        return below / RESAMPLES
    return min(1 / RESAMPLES, NormalDist().cdf(-float(data.mean()) / float(means.std())))


def smallest_mean_drop(harm: ArrayLike, level: float, margin: float, power: float) -> float:
    """Return the smallest drop of a mean that is detected with probability `power`, by the normal approximation.

    Args:
        harm: The measured differences [n], from which the standard error of the mean is estimated.
        level: The level at which the drop must be significant.
        margin: The measured drop must be larger than this.
        power: The wanted probability.

    Returns:
        The drop, in the unit of `harm`; NaN for fewer than two images.
    """
    data = np.asarray(harm, dtype=np.float64)
    if len(data) < 2:
        return math.nan
    error = float(data.std(ddof=1)) / math.sqrt(len(data))
    needed = NormalDist().inv_cdf(power) * error
    return max(NormalDist().inv_cdf(1 - level) * error, margin) + needed


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down procedure (1979), for comparison with the level of the whole family."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
