"""The standard error that sampling leaves in a mean over images."""

from __future__ import annotations

import math

import numpy as np

from bench_core.types import Score


def sampling_error(errors: np.ndarray) -> Score:
    """Build the score `sampling_error` of the independent standard errors of images, [n].

    Its value is the standard error of their mean, `sqrt(sum_i e_i^2) / n`; it has no interval.
    """
    value = math.sqrt(float(np.sum(np.square(errors, dtype=np.float64)))) / max(1, len(errors))
    return Score("sampling_error", value, math.nan, math.nan, len(errors))
