"""Structural similarity of adversarial and clean images (Wang, Bovik, Sheikh and Simoncelli, 2004)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_core.statistics import mean

from .shared.colour import picture_fault

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score
else:
    from bench_core.lazy import torch

WINDOW, SIGMA = 11, 1.5  # pixels
STABLE = (0.01**2, 0.03**2)  # C1 and C2 for images in [0, 1]


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Compute the mean structural similarity of images, with the Gaussian window of Wang et al.

    The window of 11 x 11 pixels stays inside the image. The similarity of a colour image is the mean over its channels.

    Args:
        first: Images [n, c, h, w] in [0, 1], of at least 11 pixels a side.
        second: Images of the same shape.

    Returns:
        Similarities [n], at most 1.
    """
    x, y = first.double(), second.double()
    mean_x, mean_y = _blurred(x), _blurred(y)
    variances = _blurred(x * x) - mean_x**2 + _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = STABLE
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    return (light * structure).flatten(1).mean(1)


def _blurred(images: Tensor) -> Tensor:
    """Average over the window at each of its places inside the image, one direction after the other."""
    place = torch.arange(WINDOW, dtype=torch.float64, device=images.device) - WINDOW // 2
    weights = torch.exp(-(place**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    for dimension in (2, 3):
        images = (images.unfold(dimension, WINDOW, 1) * weights).sum(-1)
    return images


@dataclass(frozen=True)
class StructuralSimilarity:
    """Structural similarity (SSIM) of the adversarial and the clean image: 1 if they are equal.

    Score and row: `mean`, over windows of 11 x 11 pixels and channels.
    """

    forwards: ClassVar = 0
    scores: ClassVar = ("mean",)
    rows: ClassVar = ("mean",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return picture_fault(shape, WINDOW)

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        return {"mean": ssim(clean.images, adversarial)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("mean", rows["mean"])


METRIC = StructuralSimilarity
