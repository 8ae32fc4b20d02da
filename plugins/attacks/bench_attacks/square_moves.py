"""The random moves of the Square attack (Andriushchenko et al., 2020; arXiv:1912.00049, alg. 2 and 3).

Where the paper leaves something open, they do as the code of AutoAttack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.types import Rejection, Streams

from .balls import per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch

TINY = 1e-12
LEAST_SIDE = 5  # of an image in L2, which is covered with five bars in a row


@dataclass(frozen=True)
class Stripes:
    """L-inf: vertical stripes of the size eps; then squares whose pixels go to the border of the ball."""

    eps: float
    rng: Streams

    def start(self, clean: Tensor) -> Tensor:
        """Return the first images [n, c, h, w]."""
        drawn = self.rng.uniform("square stripes", 0, (clean.shape[1], 1, clean.shape[3])).to(clean)
        return (clean + self.eps * signs(drawn)).clamp(0, 1)

    def trial(self, clean: Tensor, best: Tensor, rows: Tensor, share: float, iteration: int) -> Tensor:
        """Return the next images [k, c, h, w] of some rows, with one random square of a share of the pixels each."""
        channels, height, width = clean.shape[1:]
        side = min(max(round(math.sqrt(share * height * width)), 1), height, width)
        drawn = self.rng.uniform("square", iteration, (2 + channels,)).to(clean)[rows]
        inside = within(drawn[:, 0], side, height)[:, None, :, None] & within(drawn[:, 1], side, width)[:, None, None]
        change = 2 * self.eps * signs(drawn[:, 2:])[:, :, None, None] * inside
        clean = clean[rows]
        return (best[rows] + change).clamp(clean - self.eps, clean + self.eps).clamp(0, 1)


@dataclass(frozen=True)
class Bars:
    """L2: a grid of bars; then a square takes its mass, and that of another one, into a new bar."""

    eps: float
    rng: Streams

    def start(self, clean: Tensor) -> Tensor:
        """Return the first images [n, c, h, w]."""
        channels, height, width = clean.shape[1:]
        side, delta = height // 5, torch.zeros_like(clean)
        first, down, across = (height - 5 * side) // 2, height // side, width // side
        drawn = self.rng.uniform("square grid", 0, (down * across, 1 + channels)).to(clean)
        for tile in range(down * across):
            top, left = first + tile // across * side, first + tile % across * side
            placed = delta[:, :, top : top + side, left : left + side]
            made = bars(side, drawn[:, tile, 0]) * signs(drawn[:, tile, 1:])[:, :, None, None]
            placed += made[..., : placed.shape[2], : placed.shape[3]]
        return self._scaled(clean, delta)

    def trial(self, clean: Tensor, best: Tensor, rows: Tensor, share: float, iteration: int) -> Tensor:
        """Return the next images [k, c, h, w] of some rows, with one random bar of a share of the pixels each."""
        channels, height, width = clean.shape[1:]
        side = max(round(math.sqrt(share * height * width)), 3)
        side = min(side + (side % 2 == 0), odd_up_to(min(height, width)))
        drawn = self.rng.uniform("square", iteration, (5 + channels,)).to(clean)[rows]
        clean, delta = clean[rows], best[rows] - clean[rows]
        window = at(drawn[:, 0], drawn[:, 1], side, clean)
        other = at(drawn[:, 2], drawn[:, 3], side, clean)
        covered = torch.zeros_like(delta)
        covered[window] = covered[other] = 1
        old = delta[window]
        made = bars(side, drawn[:, 4]) * signs(drawn[:, 5:])[:, :, None, None] + old / (TINY + length(old, (2, 3)))
        unused = (self.eps**2 - length(delta) ** 2).clamp(min=0) / channels
        made = made / (TINY + length(made, (2, 3))) * (unused + length(delta * covered) ** 2).sqrt()
        delta[other] = 0
        delta[window] = made
        return self._scaled(clean, delta)

    def _scaled(self, clean: Tensor, delta: Tensor) -> Tensor:
        return (clean + self.eps * delta / (TINY + length(delta))).clamp(0, 1)


def odd_up_to(number: int) -> int:
    """Return the largest odd number that is not larger."""
    return number - (number % 2 == 0)


def length(values: Tensor, over: tuple[int, ...] = (1, 2, 3)) -> Tensor:
    """Return Euclidean lengths over some dimensions of [n, c, h, w], which stay with the size 1."""
    return values.pow(2).sum(over, keepdim=True).sqrt()


def signs(drawn: Tensor) -> Tensor:
    """Return random signs from uniform numbers of any shape."""
    return (2 * drawn - 1).sign()


def corner(drawn: Tensor, side: int, room: int) -> Tensor:
    """Return the first row or column of squares, int64 [n], from uniform numbers [n]."""
    return (drawn * (room - side)).long()


def within(drawn: Tensor, side: int, room: int) -> Tensor:
    """Return which rows or columns are in squares, bool [n, room], from uniform numbers [n]."""
    first, places = corner(drawn, side, room)[:, None], torch.arange(room, device=drawn.device)
    return (places >= first) & (places < first + side)


def at(down: Tensor, across: Tensor, side: int, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the index of a square in each of the images [n, c, h, w], from uniform numbers [n]."""
    span = torch.arange(side, device=images.device)
    top, left = corner(down, side, images.shape[2]), corner(across, side, images.shape[3])
    each, channel = (torch.arange(count, device=images.device) for count in images.shape[:2])
    rows, columns = top[:, None] + span, left[:, None] + span
    return each[:, None, None, None], channel[None, :, None, None], rows[:, None, :, None], columns[:, None, None, :]


def bars(side: int, drawn: Tensor) -> Tensor:
    """Return a pair of bars of opposite sign, [n, 1, side, side] of length 1, upright where `drawn` [n] is over 0.5."""
    upper = peaks(side // 2, side)
    lower = -peaks(side - side // 2, side)
    pair = torch.cat([upper, lower]).to(drawn)
    pair = pair / pair.norm()
    placed: Tensor = pair.T.where(per_image(drawn > 0.5, pair[None, None]), pair)
    return placed


def peaks(height: int, width: int) -> Tensor:
    """Return a bar [height, width] of length 1 that is highest in its middle, made of nested rectangles."""
    bar: Tensor = torch.zeros(height, width, dtype=torch.float64)
    middle = (height // 2, width // 2)
    for ring in range(max(height, width) // 2 + 1):
        top, left = max(middle[0] - ring, 0), max(middle[1] - ring, 0)
        bar[top : middle[0] + ring + 1, left : middle[1] + ring + 1] += 1 / (ring + 1) ** 2
    bar /= bar.norm()
    return bar


def l2_shape_fault(shape: tuple[int, int, int]) -> Rejection | None:
    """Return why images of a shape cannot be covered with bars, or None if they can."""
    if min(shape[1:]) >= LEAST_SIDE:
        return None
    found = f"Square in l2 covers an image with five bars in a row, this has {shape[1]}x{shape[2]} pixels"
    return Rejection("recipe", f"{found} (try a budget in linf)")
