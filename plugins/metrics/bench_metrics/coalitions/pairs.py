"""Pairs of players: all of them, those of neighbouring cells, and random draws from either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch

Among = Literal["all", "neighbours"]


def neighbours(grid: int) -> Tensor:
    """List the pairs of cells that touch at a side or a corner, int64 [4 grid^2 - 6 grid + 2, 2], row by row."""
    cell = torch.arange(grid**2).view(grid, grid)
    pairs = [
        (cell[:, :-1], cell[:, 1:]),
        (cell[:-1], cell[1:]),
        (cell[:-1, :-1], cell[1:, 1:]),
        (cell[:-1, 1:], cell[1:, :-1]),
    ]
    found = torch.cat([torch.stack([first.flatten(), second.flatten()], dim=1) for first, second in pairs])
    return found[found.amin(1).argsort(stable=True)]


def pairs_among(among: Among, grid: int) -> Tensor | None:
    """List the pairs of cells to draw from, int64 [pairs, 2], or return None for all pairs."""
    return neighbours(grid) if among == "neighbours" else None


def random_pairs(count: int, players: int, rng: Streams, pairs: Tensor | None = None) -> Tensor:
    """Draw pairs of players for each image, with replacement.

    Args:
        count: Pairs per image.
        players: Number of players.
        rng: The images' random streams.
        pairs: The pairs to draw from, int64 [p, 2]; all ordered pairs by default.

    Returns:
        Pairs, int64 [n, count, 2].
    """
    return pairs_at(rng.uniform("pair", 0, (count,)).double(), players, pairs)


def pairs_at(share: Tensor, players: int, pairs: Tensor | None) -> Tensor:
    """Look up pairs by their relative position in a list.

    Args:
        share: Relative positions in [0, 1), of any shape.
        players: Number of players.
        pairs: The list, int64 [p, 2]; by default all ordered pairs, sorted by their first player.

    Returns:
        Pairs, int64 [*share.shape, 2].
    """
    if pairs is not None:
        return pairs.cpu()[(share * len(pairs)).long()]
    number = (share * (players * (players - 1))).long()
    first, second = number // (players - 1), number % (players - 1)
    return torch.stack([first, second + (second >= first)], dim=-1)
