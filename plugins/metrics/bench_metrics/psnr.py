"""Peak signal-to-noise ratio of adversarial images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_core.statistics import mean, proportion

from .shared.colour import picture_fault

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Rows, Score


def psnr(first: Tensor, second: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio `-10 log10(mean squared difference)` of images in [0, 1].

    Args:
        first: Images [n, c, h, w].
        second: Images of the same shape.

    Returns:
        Ratios in decibels [n]; infinite for equal images.
    """
    return -10 * (first.double() - second.double()).square().flatten(1).mean(1).log10()


@dataclass(frozen=True)
class PeakSignalToNoise:
    """Peak signal-to-noise ratio (PSNR) of the adversarial image against the clean one, in decibels.

    Scores: `mean`, over the images that the attack changed, as the ratio of others is infinite; `unchanged`, the share
    of these. Row: `ratio`.
    """

    forwards: ClassVar = 0
    scores: ClassVar = ("mean", "unchanged")
    rows: ClassVar = ("ratio",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return picture_fault(shape)

    def observe(self, clean: Examples, adversarial: Tensor) -> Mapping[str, Tensor]:
        return {"ratio": psnr(clean.images, adversarial)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        changed = np.isfinite(rows["ratio"])
        yield mean("mean", rows["ratio"][changed], images=changed)
        known = ~np.isnan(rows["ratio"])
        yield proportion("unchanged", np.isinf(rows["ratio"])[known], images=known)


METRIC = PeakSignalToNoise
