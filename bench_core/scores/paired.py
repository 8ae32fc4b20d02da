"""Paired tests of two runs on the same images, and the smallest drop that they could have seen. NumPy only.

One-sided throughout: only a change in the harmful direction is tested for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..statistics import RESAMPLES, bootstrap_means

NEGLIGIBLE = 1e-12
PRECISION = 1e-4  # of the smallest detectable drop, a hundredth of a percentage point


def mcnemar(worse: int, better: int) -> float:
    """Give the exact one-sided p of McNemar's test (1947): of all flips, at least `worse` in the harmful direction."""
    return float(_tail(worse + better, 0.5, worse))


def _log_binomials(n: int) -> NDArray[np.float64]:
    """Give log C(n, k) for all k from 0 to n."""
    factorials = np.cumsum(np.log(np.maximum(1, np.arange(n + 1))))
    chosen: NDArray[np.float64] = factorials[-1] - factorials - factorials[::-1]
    return chosen


def _binomial(n: int, p: float) -> NDArray[np.float64]:
    """Give P(X = k) for all k from 0 to n, X binomial."""
    counts = np.arange(n + 1)
    chances: NDArray[np.float64]
    if p <= 0 or p >= 1:
        chances = (counts == (n if p >= 1 else 0)).astype(np.float64)
        return chances
    chances = np.exp(_log_binomials(n) + counts * math.log(p) + (n - counts) * math.log1p(-p))
    return chances


def _tail(n: int, p: float, least: int) -> float:
    """Give P(X >= least), X binomial."""
    return min(1.0, float(_binomial(n, p)[max(least, 0) :].sum())) if least > 0 else 1.0


@lru_cache(maxsize=100_000)
def critical(flips: int, level: float) -> int:
    """Give the fewest harmful flips, out of all, that are significant at a level; `flips + 1` where none would be."""
    tails = np.cumsum(_binomial(flips, 0.5)[::-1])[::-1]
    return int(np.sum(tails > level * (1 + 1e-9)))


def mcnemar_power(n: int, drop: float, churn: float, level: float, margin: float) -> float:
    """Give the chance that a true drop is found: significant at `level`, and larger than `margin` as measured.

    Of `n` images a share `churn` flips in each direction whatever happens, and a share `drop` in the harmful one.
    Exact, summed over the number of flips.
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
        power += chances[flips] * _tail(int(flips), harmful, needed) if needed <= flips else 0.0
    return float(power)


@lru_cache(maxsize=10_000)
def smallest_drop(n: int, flips: int, level: float, margin: float, power: float) -> float:
    """Give the smallest drop of a proportion that is found with chance `power`; NaN where `n` images find none.

    `flips` images changed between the two runs; that many are taken to change by chance, half in each direction.
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
    """Give the one-sided p of a mean harm above zero: the share of 10,000 resamples whose mean is not above it.

    Where none of them is, its normal tail stands in, so that many cells can be judged together; where all images
    changed alike, the sign test's.
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
    """Give the smallest drop of a mean that is found with chance `power`, by the normal approximation.

    `harm` [n] are the measured differences, which say how much a mean of n scatters; NaN below two images.
    """
    data = np.asarray(harm, dtype=np.float64)
    if len(data) < 2:
        return math.nan
    error = float(data.std(ddof=1)) / math.sqrt(len(data))
    found = NormalDist().inv_cdf(power) * error
    return max(NormalDist().inv_cdf(1 - level) * error, margin) + found


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down procedure (1979): each may be held against the level of the whole family."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
