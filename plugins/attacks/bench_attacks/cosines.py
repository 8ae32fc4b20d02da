"""The discrete cosine transform of images, as products with an orthonormal matrix along each side."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch


@lru_cache(maxsize=256)
def cosine_matrix(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the orthonormal matrix [side, side] of the transform (type II), with a row for each frequency."""
    places = torch.arange(side, dtype=torch.float64, device=device)
    rows = (math.pi / side * places[:, None] * (places + 0.5)).cos() * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows.to(dtype)


def matrices(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the matrices for the columns and for the rows of an image [c, h, w]."""
    height, width = image.shape[-2:]
    return cosine_matrix(height, image.dtype, image.device), cosine_matrix(width, image.dtype, image.device)


def to_frequencies(image: Tensor) -> Tensor:
    """Return the coefficients of an image [c, h, w], in its shape."""
    down, right = matrices(image)
    return down @ image @ right.T


def from_frequencies(coefficients: Tensor) -> Tensor:
    """Return the image of the coefficients [c, h, w]."""
    down, right = matrices(coefficients)
    return down.T @ coefficients @ right
