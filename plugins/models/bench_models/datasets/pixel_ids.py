"""Ids of images that are digests of their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

CHUNK = 256  # images in memory at a time as float32


def pixel_id(image: NDArray[np.float32]) -> str:
    """Return the SHA-256 of an image's shape and float32 pixels."""
    pixels = np.ascontiguousarray(image, dtype="<f4")
    return hashlib.sha256(f"float32 {pixels.shape}\n".encode() + pixels.tobytes()).hexdigest()


def pixel_ids(load: Callable[[Sequence[int]], NDArray[np.float32]], count: int) -> list[str]:
    """Return the id of each image that `load` returns.

    Whatever changes the pixels changes the ids: other files, other options, and other code of the dataset.

    Args:
        load: Returns images [n, c, h, w] by their indices.
        count: Number of images.
    """
    starts = range(0, count, CHUNK)
    return [pixel_id(image) for start in starts for image in load(range(start, min(start + CHUNK, count)))]
