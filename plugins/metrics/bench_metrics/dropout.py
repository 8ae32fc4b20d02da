"""Are adversarial images recognised again once some of their pixels are gone? (arXiv:2103.07364, sec. 4.3, table 1)"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from bench_core.statistics import proportion

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch


def pixels_left(rate: float, pixels: int) -> int:
    """Give `floor((1 - rate) pixels)`, the rate taken as it is written (arXiv:2103.07364, app. H)."""
    return math.floor((1 - Fraction(str(rate))) * pixels)


def from_surroundings(images: Tensor, kept: Tensor) -> Tensor:
    """Fill the pixels that are not `kept` bool [n, 1, h, w] of `images` [n, c, h, w] with the mean of those round them.

    That is of the kept pixels in the 3 x 3 square about a dropped one, channel by channel; where it holds none, in the
    next larger odd square that does. An image of which no pixel is kept stays as it is.
    """
    filled, open_ = images, ~kept & kept.flatten(1).any(1)[:, None, None, None]
    for reach in range(1, max(images.shape[-2:])):
        if not open_.any():
            break
        square = (2 * reach + 1, 1, reach)
        count = torch.nn.functional.avg_pool2d(kept.to(images), *square)
        total = torch.nn.functional.avg_pool2d(images * kept, *square)
        found = open_ & (count > 0)
        filled = torch.where(found, total / count.where(count > 0, 1), filled)
        open_ = open_ & ~found
    return filled


def without_square(images: Tensor, side: float, place: Tensor) -> Tensor:
    """Mask a rectangle, `side` times as long as `images` [n, c, h, w] and wholly inside (DeVries and Taylor, 2017).

    `place` [n, 2] in [0, 1) says where. It takes the mean of the image's channel, as a normalised zero does.
    """
    rows, columns = (
        masked_stretch(length, round(side * length), at)
        for length, at in zip(images.shape[-2:], place.to(images.device).unbind(1), strict=True)
    )
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(inside, images.mean((2, 3), keepdim=True), images)


def masked_stretch(length: int, masked: int, place: Tensor) -> Tensor:
    """Give `masked` places in a row of `length`, the first by `place` [n] in [0, 1): bool [n, length]."""
    offset = torch.arange(length, device=place.device) - (place * (length - masked + 1)).long()[:, None]
    return (offset >= 0) & (offset < masked)


@dataclass(frozen=True)
class DropoutCorrection:
    """Share of the images that fooled the source which it classifies correctly again after pixel dropout, or cutout.

    Dropout drops `floor`-exactly each of `rates` of the pixels, other ones for every image, and fills them from their
    surroundings; cutout masks one square at a random place, `cutout` times the image's side. `corrected` is counted
    over the images that fooled the source; `kept`, over all clean images, is what the same masks leave of the accuracy.
    Rows: `fooled` [n], `corrected` and `kept` [n, operations].
    """

    rates: tuple[Annotated[float, Gt(0), Lt(1)], ...] = (0.1, 0.2, 0.3)
    cutout: Annotated[float, Ge(0), Lt(1)] = 0.5
    scores: ClassVar = ("corrected", "kept", "fooled")
    labels: ClassVar = ("operation",)

    @property
    def operations(self) -> tuple[str, ...]:
        return (*(["cutout"] if self.cutout else []), *(f"dropout {rate:g}" for rate in self.rates))

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        _, height, width = shape
        if not self.operations:
            return "rates: found none, and no cutout either (would do: [0.1, 0.2, 0.3])"
        for rate in self.rates:
            if pixels_left(rate, height * width) == 0:
                return f"rates: found {rate:g}, which leaves none of {height * width} pixels"
        return None

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        corrected, kept = (
            torch.stack([source(each).argmax(1) == clean.labels for each in self._reduced(images, rng)], dim=1)
            for images in (adversarial, clean.images)
        )
        return {"fooled": source(adversarial).argmax(1) != clean.labels, "corrected": corrected, "kept": kept}

    def _reduced(self, images: Tensor, rng: Streams) -> Iterator[Tensor]:
        """Give the images after each operation, the same pixels gone from the clean and from the adversarial image."""
        if self.cutout:
            yield without_square(images, self.cutout, rng.uniform("cutout", 0, (2,)))
        pixels = images.shape[-2] * images.shape[-1]
        for index, rate in enumerate(self.rates):
            left = rng.subsets("dropout", index, 1, pixels, pixels_left(rate, pixels)).to(images.device)
            yield from_surroundings(images, left.view(-1, 1, *images.shape[-2:]))

    def summarise(self, rows: Rows) -> Iterator[Score]:
        fooled = rows["fooled"].astype(bool)
        yield proportion("fooled", fooled)
        for index, operation in enumerate(self.operations):
            yield proportion("corrected", rows["corrected"][fooled, index], {"operation": operation}, fooled)
            yield proportion("kept", rows["kept"][:, index], {"operation": operation})
