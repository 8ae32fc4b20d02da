"""How well one number tells adversarial from clean images: Fisher's discriminant ratio, the area under the ROC curve.

Every image comes as a pair, clean and adversarial, so intervals are of resampled or summed pairs, not of two groups.
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
    """Make the score `fisher`, `(m_c - m_a)^2 / (s_c^2 + s_a^2)`, of numbers [n] and [n]: variance between by within.

    `sampling` [n] is the variance that estimation adds to each pair's numbers, both together; it is taken out of the
    variance within, so that the ratio is that of the quantities themselves; NaN where nothing is left. The interval
    is the percentile bootstrap over pairs, NaN where a resample has no variance left; a square is never negative, so an
    interval just above zero says nothing.
    """
    c, a = (np.asarray(each, np.float64) for each in (clean, adversarial))
    centre = np.concatenate([c, a]).mean()
    c, a = c - centre, a - centre
    added = np.zeros_like(c) if sampling is None else np.asarray(sampling, np.float64)
    moments = (c, a, c**2, a**2, added)
    value = float(_ratio(*(np.atleast_1d(each.mean()) for each in moments))[0])
    resampled = _ratio(*map(bootstrap_means, moments))
    low, high = np.quantile(resampled, [0.025, 0.975]) if np.isfinite(resampled).all() else (math.nan, math.nan)
    return Score("fisher", value, float(low), float(high), len(c), labels)


def _ratio(*moments: NDArray[np.float64]) -> NDArray[np.float64]:
    clean, adversarial, clean_squares, adversarial_squares, added = moments
    within = clean_squares - clean**2 + adversarial_squares - adversarial**2 - added
    result: NDArray[np.float64] = np.divide(
        (clean - adversarial) ** 2, within, out=np.full_like(within, np.nan), where=within > 0
    )
    return result


def auroc(clean: ArrayLike, adversarial: ArrayLike, labels: Mapping[str, Any]) -> Score:
    """Make the score `auroc`: how often the number of an adversarial image is larger than that of a clean one.

    1/2 tells nothing, and less says that adversarial images have the smaller numbers. The interval is DeLong's (1988)
    with the placements of each pair added up (Obuchowski, 1997), since a clean image and its adversarial one are not
    independent; on the scale of the logit, and Wilson's where one side is wholly above the other. `per_image` are the
    summed placements, whose mean is the area, so that two detectors can be compared pair by pair.
    """
    c, a = (np.asarray(each, np.float64) for each in (clean, adversarial))
    n = len(c)
    if np.isnan(c).any() or np.isnan(a).any():
        return Score("auroc", math.nan, math.nan, math.nan, n, labels)
    above = placements(a, c)
    below = 1 - placements(c, a)
    area = float(above.mean())
    each = above + below - area
    if not 0 < area < 1:
        return Score("auroc", area, *wilson(area * n, n), n, labels, each)
    error = each.std(ddof=1) / math.sqrt(n) if n > 1 else math.inf
    half = Z95 * error / (area * (1 - area))
    logit = math.log(area / (1 - area))
    low, high = (1 / (1 + math.exp(-np.clip(end, -700, 700))) for end in (logit - half, logit + half))
    return Score("auroc", area, float(low), float(high), n, labels, each)


def placements(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give for each of `ones` the share of `others` that are smaller, ties counted half."""
    ordered = np.sort(others)
    left, right = (np.searchsorted(ordered, ones, side) for side in ("left", "right"))
    result: NDArray[np.float64] = (left + right) / (2 * len(others))
    return result
