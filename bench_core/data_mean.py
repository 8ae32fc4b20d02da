"""The mean image of a dataset, which metrics may show where an image's own pixels are masked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .digests import digest
from .types import Images

SAMPLED = 1000  # images; the standard error of a pixel's mean is then about a hundredth of the range
BATCH = 100  # images loaded at once


def sampled(total: int, most: int = SAMPLED) -> list[int]:
    """Return at most `most` indices of images, evenly spaced, because the dataset may be sorted by class."""
    count = min(total, most)
    return [place * total // count for place in range(count)]


def data_mean_digest(images: Images) -> str:
    """Return the digest of the ids of the averaged images, which identifies the mean image without computing it."""
    return digest([images.ids[index] for index in sampled(len(images.ids))])


def data_mean(images: Images) -> NDArray[np.float32]:
    """Compute the mean image, float32 [c, h, w] in [0, 1]."""
    chosen = sampled(len(images.ids))
    total = np.zeros(images.shape, np.float64)
    for start in range(0, len(chosen), BATCH):
        total += images.load(chosen[start : start + BATCH]).sum(0, dtype=np.float64)
    mean: NDArray[np.float32] = (total / len(chosen)).astype(np.float32)
    return mean
