"""Multiple monotonic diversified integrated gradients (Ren et al., AAAI 2025; arXiv:2412.18844)."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from ..compose import Count, Share, recipe
from ..gradient_attack import GradientAttack
from ..messages import Answer, Passes, Query
from .mi import Decay, Momentum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..run_state import RunState
else:
    from bench_core.lazy import torch

RESIZED, KINDS = 5, 10  # of ten kinds of transformation five are one each, and five are the same resizing


@dataclass(frozen=True)
class DiversePaths:
    """The attribution `(z - b(z)) * g(b(z) + position * (z - b(z)))` at the image and at transformed copies, summed.

    The base b(z) has two values in each channel: a random level where z is at least that, and the channel's minimum
    below. A copy is resized and padded, or else rolled, flipped or rotated, with even chances. It has the gradient in
    the image, through the transformation. The authors multiply that by the path in the frame of the transformed copy,
    so the two do not fit. With `aligned` the attribution of a copy is computed in its frame and brought back into that
    of the image. Each copy has its own transformation; the authors draw one for a batch.
    """

    copies: int
    position: float
    enlarged: float
    aligned: bool
    deviations: ClassVar[Mapping[str, str]] = {"zero_gradient": "an image of one colour has no path from its base"}

    def passes(self, _step: int, _members: int) -> Passes:
        return Passes(1 + self.copies)

    def init(self, _images: Tensor) -> None:
        return None

    def estimate(self, images: Tensor, _state: None, run: RunState) -> Generator[Query, Answer, tuple[Tensor, None]]:
        levels = run.rng.uniform("base levels", (1 + self.copies, images.shape[1]))
        draws = run.rng.uniform("transformations", (self.copies, 4)).double()
        with torch.enable_grad():
            sources = images.detach()[:, None].repeat(1, 1 + self.copies, 1, 1, 1).requires_grad_(True)
            moved = transformed(sources[:, 1:].flatten(0, 1), draws.flatten(0, 1), self.enlarged)
            copies = torch.cat([sources[:, :1], moved.unflatten(0, (-1, self.copies))], dim=1)
        base = quantised(copies.detach(), levels)
        path = copies.detach() - base
        gradients = (yield Query(base + self.position * path)).gradients
        along = gradients * path if self.aligned else gradients
        (pulled,) = torch.autograd.grad(copies, sources, along)
        return (pulled if self.aligned else pulled * path).sum(1), None


def quantised(images: Tensor, levels: Tensor) -> Tensor:
    """Return images [n, k, c, h, w] of two values, given the levels [n, k, c] in [0, 1) between the extremes."""
    low, high = images.flatten(3).amin(3), images.flatten(3).amax(3)
    level = (low + levels * (high - low))[..., None, None]
    return level.where(images >= level, low[..., None, None])


def transformed(images: Tensor, draws: Tensor, enlarged: float) -> Tensor:
    """Transform each of the images [n, c, h, w], given four random numbers in [0, 1) each."""
    height, width = images.shape[-2:]
    rows, columns = torch.meshgrid(*(torch.arange(side).to(draws) for side in (height, width)), indexing="ij")
    drawn, first, second, third = draws.view(-1, 4, 1, 1).unbind(1)
    angle = (2 * first - 1) * math.pi / 4
    down, right = rows - (height - 1) / 2, columns - (width - 1) / 2
    sources = [
        ((rows - (first * height).floor()) % height, columns),
        (rows, (columns - (first * width).floor()) % width),
        (height - 1 - rows, columns),
        (rows, width - 1 - columns),
        (
            angle.cos() * down - angle.sin() * right + (height - 1) / 2,
            angle.sin() * down + angle.cos() * right + (width - 1) / 2,
        ),
        (padded(rows, height, enlarged, first, second), padded(columns, width, enlarged, first, third)),
    ]
    kind = (KINDS * drawn).floor().clamp(max=RESIZED)
    row, column = rows, columns
    for number, (new_row, new_column) in enumerate(sources):
        row, column = new_row.where(kind == number, row), new_column.where(kind == number, column)
    return sampled(images, row, column)


def sampled(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Interpolate images [n, c, h, w] at positions [n, h, w], in pixels, with zeros outside. At pixels it is exact."""
    height, width = images.shape[-2:]
    total = torch.zeros_like(images)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = rows.floor() + i, columns.floor() + j
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        weight = (1 - (rows - row).abs()) * (1 - (columns - column).abs()) * inside
        index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
        pixels = images.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, images.shape[1], -1))
        total = total + weight.to(images)[:, None] * pixels.view_as(images)
    return total


def padded(positions: Tensor, side: int, enlarged: float, scale: Tensor, place: Tensor) -> Tensor:
    """Return the source position of each pixel after resizing, padding and resizing back, along one axis.

    The image gets a random side in [side, r) at a random place of a canvas of side r = `enlarged` * side, which is
    resized to `side`. This is one bilinear interpolation; the authors' code has two.
    """
    canvas = round(side * enlarged)
    inner = side + (scale * (canvas - side)).floor()
    start = (place * (canvas - inner)).floor()
    return ((positions + 0.5) * canvas / side - start) * side / inner - 0.5


def mumodig(
    attack: GradientAttack,
    *,
    paths: Count = 6,
    position: Share = 0.65,
    enlarged: Annotated[float, Ge(1)] = 245 / 224,
    aligned: bool = False,
    decay: Decay = 1.0,
) -> GradientAttack:
    """Sum integrated gradients of transformed copies from bases of two values (Ren et al., 2025), with momentum.

    Each path has one base with two values in each channel and one point, the authors' choice of all three.

    Args:
        attack: The attack.
        paths: The number of transformed copies, beside the image itself.
        position: The place of the point on the path from the base to the copy.
        enlarged: The side of the canvas on which an image is padded, in units of the image's side.
        aligned: Whether attributions are computed in the frame of the copy. The authors' code does not.
        decay: The decay of the momentum.
    """
    diverse = attack.set_once(estimator=DiversePaths(paths, position, enlarged, aligned))
    return diverse.with_filters(*attack.filters, Momentum(decay, "mean"))


RECIPE = recipe(mumodig, small={"paths": 2})
