"""The average image of a dataset, which metrics may show where an image's own pixels are to be absent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..digests import digest
from ..types import Images

SAMPLED = 1000  # images; the mean of a pixel is then known to a hundredth of the range
AT_ONCE = 100


def sampled(total: int) -> list[int]:
    """Choose images evenly over a dataset that may be sorted by class, all of a small one."""
    return [place * total // min(total, SAMPLED) for place in range(min(total, SAMPLED))]


def average_digest(images: Images) -> str:
    """Tell average images apart without computing one: the digest of the images it is of."""
    return digest([images.ids[index] for index in sampled(len(images.ids))])


def average_image(images: Images) -> NDArray[np.float32]:
    """Give the mean image float32 [c, h, w]."""
    chosen = sampled(len(images.ids))
    total = np.zeros(images.shape, np.float64)
    for start in range(0, len(chosen), AT_ONCE):
        total += images.load(chosen[start : start + AT_ONCE]).sum(0, dtype=np.float64)
    mean: NDArray[np.float32] = (total / len(chosen)).astype(np.float32)
    return mean
