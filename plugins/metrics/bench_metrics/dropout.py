"""Whether adversarial images are recognised again after pixel dropout (arXiv:2103.07364, sec. 4.3, table 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from bench_core.statistics import proportion

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch


Fill = Literal["channel_mean", "image_mean"]


def pixels_left(rate: float, pixels: int) -> int:
    """Return `floor((1 - rate) pixels)`, computed exactly from the decimal rate (arXiv:2103.07364, app. H)."""
    return math.floor((1 - Fraction(str(rate))) * pixels)


def from_surroundings(images: Tensor, kept: Tensor) -> Tensor:
    """Fill dropped pixels with the mean of the kept pixels around them, channel by channel.

    The mean is over the 3 x 3 square around the dropped pixel or, if that has no kept pixel, the next larger odd square
    that has one. An image without kept pixels is left as it is.

    Args:
        images: Images [n, c, h, w].
        kept: Mask of the kept pixels, bool [n, 1, h, w].

    Returns:
        Filled images [n, c, h, w].
    """
    filled, unfilled = images, ~kept & kept.flatten(1).any(1)[:, None, None, None]
    for reach in range(1, max(images.shape[-2:])):
        if not unfilled.any():
            break
        square = (2 * reach + 1, 1, reach)
        count = torch.nn.functional.avg_pool2d(kept.to(images), *square)
        total = torch.nn.functional.avg_pool2d(images * kept, *square)
        found = unfilled & (count > 0)
        filled = torch.where(found, total / count.where(count > 0, 1), filled)
        unfilled = unfilled & ~found
    return filled


def without_square(images: Tensor, side: float, position: Tensor, fill: Tensor) -> Tensor:
    """Mask a rectangle that lies inside the image (cutout; DeVries and Taylor, 2017).

    Args:
        images: Images [n, c, h, w].
        side: Sides of the rectangle as a share of the image's.
        position: Relative position of the rectangle, in [0, 1), [n, 2].
        fill: What the rectangle shows, [c, 1, 1] or [n, c, 1, 1].

    Returns:
        Masked images [n, c, h, w].
    """
    rows, columns = (
        masked_range(length, round(side * length), start)
        for length, start in zip(images.shape[-2:], position.to(images.device).unbind(1), strict=True)
    )
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(inside, fill, images)


def masked_range(length: int, masked: int, position: Tensor) -> Tensor:
    """Mark consecutive indices of a row.

    Args:
        length: Length of the row.
        masked: How many indices to mark.
        position: Relative position of the first one, in [0, 1), [n].

    Returns:
        Mask, bool [n, length].
    """
    offset = torch.arange(length, device=position.device) - (position * (length - masked + 1)).long()[:, None]
    return (offset >= 0) & (offset < masked)


@dataclass(frozen=True)
class DropoutCorrection:
    """Share of the images that fooled the source which it classifies correctly again after pixel dropout or cutout.

    Dropout removes a share of the pixels, different ones for every image, and fills them from their surroundings;
    cutout masks one square at a random position. The clean and the adversarial image have the same mask. Cutout was
    defined on normalised images, which it sets to zero: that is the mean of each channel over the data.

    Scores: `fooled`, the share of images that fooled the source; `corrected`, labelled by `operation`, over the images
    that fooled it; `kept`, labelled by `operation`, the accuracy on all clean images after the operation. Rows:
    `fooled` [n], `corrected` and `kept` [n, operations].

    Attributes:
        rates: Shares of the pixels to drop; the number that remains is rounded down.
        cutout: Side of the square as a share of the image's; 0 for no cutout.
        fill: What the square shows: `channel_mean`, the mean of each channel over the data; `image_mean`, that of each
            channel of the image itself.
    """

    rates: tuple[Annotated[float, Gt(0), Lt(1)], ...] = (0.1, 0.2, 0.3)
    cutout: Annotated[float, Ge(0), Lt(1)] = 0.5
    fill: Fill = "channel_mean"
    scores: ClassVar = ("corrected", "kept", "fooled")
    labels: ClassVar = ("operation",)

    @property
    def operations(self) -> tuple[str, ...]:
        return (*(["cutout"] if self.cutout else []), *(f"dropout {rate:g}" for rate in self.rates))

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        _, height, width = shape
        if not self.operations:
            return "rates: found none, and no cutout either (try [0.1, 0.2, 0.3])"
        for rate in self.rates:
            if pixels_left(rate, height * width) == 0:
                return f"rates: found {rate:g}, which leaves none of {height * width} pixels (try a smaller rate)"
        return None

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        mean = data_mean.to(adversarial).mean((1, 2), keepdim=True)
        corrected, kept = (
            torch.stack(
                [source(reduced).argmax(1) == clean.labels for reduced in self._reduced(images, mean, rng)], dim=1
            )
            for images in (adversarial, clean.images)
        )
        return {"fooled": source(adversarial).argmax(1) != clean.labels, "corrected": corrected, "kept": kept}

    def _reduced(self, images: Tensor, data_mean: Tensor, rng: Streams) -> Iterator[Tensor]:
        """Yield the images after each operation; the masks depend only on `rng`."""
        if self.cutout:
            fill = images.mean((2, 3), keepdim=True) if self.fill == "image_mean" else data_mean
            yield without_square(images, self.cutout, rng.uniform("cutout", 0, (2,)), fill)
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


METRIC = DropoutCorrection
