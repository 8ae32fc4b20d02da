"""E-processes and confidence sequences of a mean difference, valid at every look, and e-Holm for several of them.

An e-process starts at 1 and is expected to be at most 1 at any stopping time while its null hypothesis holds, so the
probability that it ever reaches 1/alpha is at most alpha (Ville, 1939). A confidence sequence is the set of means that
have not been rejected in this way. Everything here is a function of the differences in their order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# Bets are fractions of the capital at stake. To average the capital of constant bets is a single predictable bet: their
# mean, weighted by what each has won so far.
UNIFORM = (np.arange(32) + 0.5) / 32
# The mean over several targets varies little between images, so that a large bet is often the best one.
LARGE = np.sqrt(UNIFORM)
BISECTIONS = 40
LARGEST_MEAN = 1 - 1e-9


def log_e_of_wins(differences: Values) -> Values:
    """Compute the e-process of `P(win) = P(loss)` for differences that are -1, 0 or 1.

    After n wins and losses with s wins, it is the mean over p, uniform in [0, 1], of the likelihood ratio of wins with
    probability p and with 1/2: `E = 2^n s! (n - s)! / (n + 1)!`. It is `log_e` of mean 0 with infinitely many
    uniform bets.

    Args:
        differences: One for each image, [..., n]; NaN for an image that does not count.

    Returns:
        log E after each image, [..., n].
    """
    wins = np.cumsum(differences > 0, axis=-1)
    losses = np.cumsum(differences < 0, axis=-1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, differences.shape[-1] + 2)))])
    n = wins + losses
    found: Values = n * math.log(2) + log_factorial[wins] + log_factorial[losses] - log_factorial[n + 1]
    return found


def log_capitals(differences: Values, mean: float, bets: Values = LARGE) -> tuple[Values, Values]:
    """Compute the capital of bets that the mean is above `mean`, and of bets that it is below.

    A bet of the fraction b that it is above multiplies the capital by `1 + b (d - mean) / (1 + mean)` for a difference
    d, which is never negative: the bets of Waudby-Smith and Ramdas (2024, arXiv:2010.09686, sec. 4) for [-1, 1] in
    place of [0, 1]. The first capital is an e-process while the mean is `mean` or less, and falls with `mean`; the
    second is one while it is `mean` or more, and rises. Both are convex in `mean`.

    Args:
        differences: One in [-1, 1] for each image, [..., n]; NaN for an image that does not count.
        mean: The mean of the null hypothesis, in (-1, 1).
        bets: The bets, in (0, 1).

    Returns:
        The logarithms of both after each image, [..., n].
    """
    gaps = np.where(np.isnan(differences), 0.0, differences - mean)
    return _log_capital(gaps / (1 + mean), bets), _log_capital(-gaps / (1 - mean), bets)


def _log_capital(gains: Values, bets: Values) -> Values:
    capital = np.full(gains.shape, -np.inf)
    for bet in bets:
        capital = np.logaddexp(capital, np.cumsum(np.log1p(bet * gains), axis=-1))
    return capital - math.log(len(bets))


def _log_mean(logs: Values) -> Values:
    mean: Values = np.logaddexp.reduce(logs, axis=-1) - math.log(logs.shape[-1])
    return mean


def log_e(differences: Values, mean: float = 0.0, bets: Values = LARGE) -> Values:
    """Compute the hedged e-process of a mean: half of the capital is bet on a higher mean, half on a lower one.

    Args:
        differences: As for `log_capitals`.
        mean: The mean of the null hypothesis, in (-1, 1).
        bets: The bets, in (0, 1).

    Returns:
        log E after each image, [..., n].
    """
    return _hedged(*log_capitals(differences, mean, bets))


def _hedged(above: Values, below: Values) -> Values:
    hedged: Values = np.logaddexp(above, below) - math.log(2)
    return hedged


def log_e_within(differences: Values, margin: float, bets: Values = LARGE) -> Values:
    """Compute an e-process of the hypothesis that the mean is at least `margin` away from zero.

    Where it reaches 1/alpha, the confidence sequence lies within the margin.

    Args:
        differences: As for `log_capitals`.
        margin: The margin, in (0, 1).
        bets: The bets, in (0, 1).

    Returns:
        log E after each image, [..., n].
    """
    return _within(log_capitals(differences, -margin, bets)[0], log_capitals(differences, margin, bets)[1])


def _within(above: Values, below: Values) -> Values:
    halved: Values = np.minimum(above, below) - math.log(2)
    return halved


@dataclass(frozen=True)
class Growth:
    """How fast the capital of each bet has grown, from which it follows after as many images or more.

    Attributes:
        values: The differences that occurred, each once, [v].
        shares: The share of images with each, [v].
        bets: The bets, in (0, 1).
    """

    values: Values
    shares: Values
    bets: Values

    @classmethod
    def of(cls, differences: Values, bets: Values) -> Growth:
        """Return the growth over some images. Those that do not count (NaN) leave the capital as it is."""
        values, counts = np.unique(differences[~np.isnan(differences)], return_counts=True)
        return cls(values, counts / len(differences), bets)

    def log_capitals(self, mean: float, images: Values) -> tuple[Values, Values]:
        """Return what `log_capitals` does after some numbers of images [t], which are like those so far on average."""
        gaps = self.values - mean
        above, below = (
            np.log1p(np.multiply.outer(self.bets, gains)) @ self.shares
            for gains in (gaps / (1 + mean), -gaps / (1 - mean))
        )
        return _log_mean(np.multiply.outer(images, above)), _log_mean(np.multiply.outer(images, below))

    def log_e(self, images: Values, mean: float = 0.0) -> Values:
        """Return what the function `log_e` does."""
        return _hedged(*self.log_capitals(mean, images))

    def log_e_within(self, margin: float, images: Values) -> Values:
        """Return what the function `log_e_within` does."""
        return _within(self.log_capitals(-margin, images)[0], self.log_capitals(margin, images)[1])


def sequence(differences: Values, alpha: float, bets: Values = LARGE) -> tuple[float, float]:
    """Compute the confidence sequence of a mean, after the last image.

    Args:
        differences: As for `log_capitals`, [n].
        alpha: The probability that the mean is ever outside.
        bets: The bets, in (0, 1). With `UNIFORM` it is the sequence that belongs to `log_e_of_wins`.

    Returns:
        The lower and upper end; (-1, 1) without images.
    """
    growth, n = Growth.of(differences, bets), np.array([float(len(differences))])
    if not len(growth.values):
        return -1.0, 1.0
    # E is convex in the mean, and at most 1 at the observed mean, where every bet has lost
    observed = float(np.clip(np.nanmean(differences), -LARGEST_MEAN, LARGEST_MEAN))

    def end(near: float, far: float) -> float:
        for _ in range(BISECTIONS):
            middle = (near + far) / 2
            rejected = growth.log_e(n, middle)[0] >= -math.log(alpha)
            near, far = (near, middle) if rejected else (middle, far)
        return far

    return end(observed, -LARGEST_MEAN), end(observed, LARGEST_MEAN)


def e_holm(e_values: Values) -> Values:
    """Adjust e-values so that all hypotheses with an adjusted value of 1/alpha or more can be rejected together.

    The probability of a false rejection is at most alpha under any dependence: this is closed testing, with the mean of
    e-values for each intersection (Vovk and Wang, 2021, arXiv:1912.06116, algorithm 1; Hartog and Lei, 2025,
    arXiv:2501.09015, who call it e-Holm). A value is adjusted to its smallest mean with any others. Means of
    e-processes are e-processes, so this holds at every look, as long as no hypothesis is left out later on.

    Args:
        e_values: The e-values [..., k] of k hypotheses.

    Returns:
        The adjusted e-values [..., k].
    """
    order = np.argsort(e_values, axis=-1)
    ascending = np.take_along_axis(e_values, order, axis=-1)
    adjusted, total = ascending.copy(), np.zeros(e_values.shape[:-1])
    for others in range(1, e_values.shape[-1]):
        total = total + ascending[..., others - 1]
        means = (ascending[..., others:] + total[..., None]) / (others + 1)
        adjusted[..., others:] = np.minimum(adjusted[..., others:], means)
    result = np.empty_like(adjusted)
    np.put_along_axis(result, order, adjusted, axis=-1)
    return result
