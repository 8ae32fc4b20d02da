"""Compares given images with the budget, and recognises how their levels were rounded. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..norms import CHANGED, size_limit
from ..types import Budget, Norm

LEVELS = 255
SURE = 0.01  # levels by which a difference is more than the rounding of float32
FACE = 0.05  # share of the pixels at the largest change, above which it is a bound and not a tail
FEWEST = 200  # pixels by which a rounding is recognised


def size_of(delta: NDArray[np.float32], norm: Norm) -> float:
    """Return the norm of a perturbation [c, h, w], as `norms.perturbation_size` does with torch."""
    match norm:
        case "linf":
            return float(np.abs(delta).max())
        case "l2":
            return float(np.sqrt(np.square(delta, dtype=float).sum()))
        case "l1":
            return float(np.abs(delta).sum(dtype=float))
        case "l0":
            return float((np.abs(delta) > CHANGED).any(0).sum())


@dataclass
class Excess:
    """How far images are outside their balls, collected image by image.

    Attributes:
        budget: The norm and the radius.
        outside: The names of the images that are outside.
        worst: The largest distance of an image from the clean one, in the norm.
        lowest: The largest change of a pixel downwards, in levels, of all images.
        highest: The largest change upwards.
        shift: The mean change of a pixel of the images outside, in levels; one value for each.
        counts: How many pixels changed by each number of levels, downwards first, of those that the image range holds
            back in no direction; None if levels are no whole numbers, or the ball is not in L-inf.
    """

    budget: Budget

    def __post_init__(self) -> None:
        self.outside: list[str] = []
        self.worst = self.lowest = self.highest = 0.0
        self.shift: list[float] = []
        self.reach = math.ceil(LEVELS * self.budget.eps + SURE) if self.budget.norm == "linf" else 0
        self.counts: NDArray[np.int64] | None = np.zeros(2 * self.reach + 1, int) if self.reach else None

    def add(self, name: str, clean: NDArray[np.float32], image: NDArray[np.float32]) -> None:
        """Compare an image [c, h, w] in [0, 1] with its clean image."""
        delta = image - clean
        size = size_of(delta, self.budget.norm)
        self.worst = max(self.worst, size)
        self.lowest = max(self.lowest, -LEVELS * float(delta.min()))
        self.highest = max(self.highest, LEVELS * float(delta.max()))
        if size > size_limit(self.budget):
            self.outside.append(name)
            self.shift.append(LEVELS * float(delta.mean()))
        self._count(LEVELS * clean.astype(float), LEVELS * image.astype(float))

    def _count(self, clean: NDArray[np.float64], image: NDArray[np.float64]) -> None:
        levels, changes = np.rint(clean), np.rint(image) - np.rint(clean)
        if self.counts is None or max(np.abs(clean - levels).max(), np.abs(image - np.rint(image)).max()) > SURE:
            self.counts = None
            return
        free = (levels >= self.reach) & (levels <= LEVELS - self.reach) & (np.abs(changes) <= self.reach)
        self.counts += np.bincount(changes[free].astype(int) + self.reach, minlength=len(self.counts))

    @property
    def one_sided(self) -> str:
        """How the levels of images inside an L-inf ball seem to have been rounded; "" if nothing speaks for it.

        No image of levels proves it, because rounding to the nearest leaves every such image as it is. But attacks move
        many pixels as far as they may, in both directions alike. If many pixels have the largest change downwards and
        many the largest one upwards, and these differ by exactly one level, then the rounding has moved one of them.
        """
        if self.counts is None or self.outside or self.counts.sum() < FEWEST:
            return ""
        changed = np.flatnonzero(self.counts) - self.reach
        lowest, highest = -int(changed.min()), int(changed.max())
        faces = self.counts[[self.reach - lowest, self.reach + highest]] / self.counts.sum()
        if min(lowest, highest) < 1 or abs(lowest - highest) != 1 or faces.min() < FACE:
            return ""
        seem = DOWN if lowest > highest else UP
        return f"{seem}: the largest change is {lowest} levels downwards and {highest} upwards"

    @property
    def rounding(self) -> str:
        """How the levels were rounded, if that is why images are outside; "" if the reason is unknown."""
        if self.budget.norm in ("l1", "l0"):
            return ""
        if self.budget.norm == "l2":
            shift = float(np.mean(self.shift)) if self.shift else 0.0
            if 0.25 < abs(shift) < 0.75:
                return DOWN if shift < 0 else UP
            return ""
        eps = LEVELS * self.budget.eps
        below, above = self.lowest - eps, self.highest - eps
        if max(below, above) > 1 + SURE:
            return ""
        if below > SURE >= above:
            return DOWN
        if above > SURE >= below:
            return UP
        return NEAREST if max(below, above) <= 0.5 + SURE else ""


DOWN = "their levels were floored instead of rounded, as by a cast to uint8 (try numpy.rint before it)"
UP = "their levels were rounded up instead of to the nearest"
NEAREST = "their levels were rounded to the nearest without regard to the ball"
