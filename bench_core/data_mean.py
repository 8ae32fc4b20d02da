"""The mean image of a dataset, which metrics may show where an image's own pixels are masked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .digests import digest
from .types import Images

SAMPLED = 1000  # images; the mean of a pixel is then known to a hundredth of the range
BATCH = 100


def sampled(total: int) -> list[int]:
    """Choose images evenly over a dataset that may be sorted by class; all images of a small one."""
    return [place * total // min(total, SAMPLED) for place in range(min(total, SAMPLED))]


def data_mean_digest(images: Images) -> str:
    """Identify a mean image without computing it: return the digest of the ids that it averages."""
    return digest([images.ids[index] for index in sampled(len(images.ids))])


def data_mean(images: Images) -> NDArray[np.float32]:
    """Compute the mean image, float32 [c, h, w]."""
    chosen = sampled(len(images.ids))
    total = np.zeros(images.shape, np.float64)
    for start in range(0, len(chosen), BATCH):
        total += images.load(chosen[start : start + BATCH]).sum(0, dtype=np.float64)
    mean: NDArray[np.float32] = (total / len(chosen)).astype(np.float32)
    return mean
