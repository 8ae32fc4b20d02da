"""Bilinear sampling of images at any coordinates, each image by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Bounds(NamedTuple):
    """Along one axis, the first pixel that a sample may see and the one after the last; they broadcast over samples."""

    first: Tensor | int
    end: Tensor | int


def sampled(images: Tensor, rows: Tensor, columns: Tensor, down: Bounds, right: Bounds) -> Tensor:
    """Interpolate images at coordinates in pixels, counted from the centre of the first. Outside the bounds is 0.

    Gathering has a deterministic gradient on every device, which `torch.nn.functional.grid_sample` has not.

    Args:
        images: The images [n, c, h, w].
        rows: The row of each sample, [n, h', w'].
        columns: The column of each sample, [n, h', w'].
        down: The rows that each sample may see, inside the image.
        right: The columns that each sample may see.

    Returns:
        The samples [n, c, h', w'], differentiable in the images and the coordinates.
    """
    channels, height, width = images.shape[1:]
    pixels = images.flatten(2)
    weighed: list[Tensor] = []
    top, left = rows.detach().floor(), columns.detach().floor()
    below, beside = rows - top, columns - left
    for row, across in ((top, 1 - below), (top + 1, below)):
        for column, along in ((left, 1 - beside), (left + 1, beside)):
            seen = (row >= down.first) & (row < down.end) & (column >= right.first) & (column < right.end)
            index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            values = pixels.gather(2, index.flatten(1)[:, None].expand(-1, channels, -1))
            weighed.append(values.unflatten(2, rows.shape[1:]) * (across * along * seen)[:, None])
    return weighed[0] + weighed[1] + weighed[2] + weighed[3]
