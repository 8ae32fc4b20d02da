"""The discrete cosine transform of images, as products with an orthonormal matrix along each side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch


def cosine_matrix(side: int, like: Tensor) -> Tensor:
    """Return the orthonormal matrix [side, side] of the transform (type II), with a row for each frequency."""
    places = torch.arange(side, dtype=torch.float64, device=like.device)
    rows = (math.pi / side * places[:, None] * (places + 0.5)).cos() * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows.to(like)


def to_frequencies(image: Tensor) -> Tensor:
    """Return the coefficients of an image [c, h, w], in its shape."""
    down, right = (cosine_matrix(side, image) for side in image.shape[-2:])
    return down @ image @ right.T


def from_frequencies(coefficients: Tensor) -> Tensor:
    """Return the image of the coefficients [c, h, w]."""
    down, right = (cosine_matrix(side, coefficients) for side in coefficients.shape[-2:])
    return down.T @ coefficients @ right
