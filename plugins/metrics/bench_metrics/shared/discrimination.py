"""How well one number discriminates adversarial from clean images: Fisher's discriminant ratio and the ROC area.

Every image is a pair, clean and adversarial, so the intervals are over pairs, not over two independent groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench_core.statistics import Z95, bootstrap_means, wilson
from bench_core.types import Score


def fisher(
    clean: ArrayLike, adversarial: ArrayLike, labels: Mapping[str, Any], sampling: ArrayLike | None = None
) -> Score:
    """Build the score `fisher`, Fisher's discriminant ratio `(m_c - m_a)^2 / (s_c^2 + s_a^2)`.

    The interval is the percentile bootstrap over pairs, NaN if a resample has no variance left. The ratio is never
    negative, so an interval that starts just above zero is no evidence of a difference.

    Args:
        clean: One number per clean image, [n].
        adversarial: One number per adversarial image, [n].
        labels: Labels of the score.
        sampling: Variance that estimation adds to each pair's two numbers together, [n]. It is subtracted from the
            denominator, so that the ratio is that of the exact quantities; NaN if nothing is left.

    Returns:
        The score, without `per_image`.
    """
    c, a = np.asarray(clean, np.float64), np.asarray(adversarial, np.float64)
    centre = np.concatenate([c, a]).mean()
    c, a = c - centre, a - centre
    added = np.zeros_like(c) if sampling is None else np.asarray(sampling, np.float64)
    moments = (c, a, c**2, a**2, added)
    value = float(_ratio(*(np.atleast_1d(moment.mean()) for moment in moments))[0])
    resampled = _ratio(*map(bootstrap_means, moments))
    low, high = np.quantile(resampled, [0.025, 0.975]) if np.isfinite(resampled).all() else (math.nan, math.nan)
    return Score("fisher", value, float(low), float(high), len(c), labels)


def _ratio(*moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the ratio of resamples, [k], from the means of c, a, c^2, a^2 and the sampling variance, [k] each."""
    clean, adversarial, clean_squares, adversarial_squares, added = moments
    within = clean_squares - clean**2 + adversarial_squares - adversarial**2 - added
    result: NDArray[np.float64] = np.divide(
        (clean - adversarial) ** 2, within, out=np.full_like(within, np.nan), where=within > 0
    )
    return result


def auroc(clean: ArrayLike, adversarial: ArrayLike, labels: Mapping[str, Any]) -> Score:
    """Build the score `auroc`, the area under the ROC curve of a detector of adversarial images.

    It is the probability that the number of an adversarial image is larger than that of a clean one: 1/2 is chance, and
    less means that adversarial images have the smaller numbers. The interval is DeLong's (1988) with the placements of
    each pair summed (Obuchowski, 1997), because both images of a pair are dependent; it is computed on the logit scale,
    and is Wilson's if the numbers separate perfectly.

    Args:
        clean: One number per clean image, [n].
        adversarial: One number per adversarial image, [n].
        labels: Labels of the score.

    Returns:
        The score; `per_image` holds the summed placements, whose mean is the area, so that two detectors can be
        compared pair by pair. NaN numbers give a NaN score.
    """
    from scipy.special import expit, logit

    c, a = np.asarray(clean, np.float64), np.asarray(adversarial, np.float64)
    n = len(c)
    if np.isnan(c).any() or np.isnan(a).any():
        return Score("auroc", math.nan, math.nan, math.nan, n, labels)
    above = placements(a, c)
    below = 1 - placements(c, a)
    area = float(above.mean())
    per_image = above + below - area
    if not 0 < area < 1:
        return Score("auroc", area, *wilson(area * n, n), n, labels, per_image)
    error = per_image.std(ddof=1) / math.sqrt(n) if n > 1 else math.inf
    half = Z95 * error / (area * (1 - area))
    low, high = expit(logit(area) - half), expit(logit(area) + half)
    return Score("auroc", area, float(low), float(high), n, labels, per_image)


def placements(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each of `values` the share of `others` that are smaller, with ties counted as half."""
    ordered = np.sort(others)
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    result: NDArray[np.float64] = (left + right) / (2 * len(others))
    return result
