"""The random numbers of one step, on the device of the images and in their dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class StepRng:
    """Random numbers with one row for each row of images, from an independent stream for each image.

    The methods take a `purpose`, which names the stream: the same purpose at the same step gives the same numbers, so
    that two attacks that draw for one purpose are paired. Use a new name for numbers that must be independent.

    Attributes:
        streams: The streams of the images, from the host.
        step: The number of the step, counted from 1; 0 is the start, and the steps of a warm-up are negative.
        like: A tensor with the device and dtype of the results.
        query: The number of the estimator's query within the step; each query draws fresh numbers.
        points: The number of points of each image in the query; each point has its own numbers.
        rows: The rows that `take` selected, None for all.
    """

    streams: Streams
    step: int
    like: Tensor
    query: int = 0
    points: int = 1
    rows: slice | Tensor | None = None

    def take(self, rows: slice | Tensor) -> StepRng:
        """Return the random numbers of some rows: positions [m], or a slice, which has a start and a stop."""
        if isinstance(self.rows, slice):
            start = self.rows.start
            return replace(
                self, rows=slice(start + rows.start, start + rows.stop) if isinstance(rows, slice) else start + rows
            )
        if self.rows is not None:
            return replace(self, rows=self.rows[rows])
        if not isinstance(rows, slice):
            return replace(self, rows=rows)
        first, last = rows.start // self.points, -(-rows.stop // self.points)
        selected = slice(rows.start - first * self.points, rows.stop - first * self.points)
        return replace(self, streams=self.streams.take(slice(first, last)), rows=selected)

    def repeated(self, times: int) -> StepRng:
        """Return the random numbers of rows that are repeated, image-major; each copy has its own."""
        rows = self.rows
        if isinstance(rows, slice):
            rows = slice(rows.start * times, rows.stop * times)
        elif rows is not None:
            rows = (rows[:, None] * times + torch.arange(times, device=rows.device)).flatten()
        return replace(self, points=self.points * times, rows=rows)

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """Return standard normal numbers [n, *shape]."""
        drawn = self.streams.normal(self._key(purpose), self.step, self._shape(shape))
        return self._by_row(drawn).to(self.like)

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """Return uniform numbers in [0, 1), [n, *shape]."""
        drawn = self.streams.uniform(self._key(purpose), self.step, self._shape(shape))
        return self._by_row(drawn).to(self.like)

    def integers(self, purpose: str, shape: Sequence[int], below: int) -> Tensor:
        """Return uniform integers in [0, below), int64 [n, *shape]."""
        return (self.uniform(purpose, shape) * below).long().clamp(max=below - 1)  # a product may round up to `below`

    def subsets(self, purpose: str, count: int, players: int, size: int) -> Tensor:
        """Return `count` random sets of `size` distinct players, bool [n, count, players]."""
        drawn = self.streams.subsets(self._key(purpose), self.step, self.points * count, players, size)
        return self._by_row(drawn if self.points == 1 else drawn.unflatten(1, (-1, count))).to(self.like.device)

    def disjoint_subsets(self, purpose: str, count: int, players: int, size: int) -> Tensor:
        """Return `count` random sets of `size` distinct players, disjoint as far as they fit: bool [n, count, players].

        Each run of `players // size` sets is a random partition, without the players that are left over. Further sets
        begin a new, independent partition. The first set of a partition is a set that `subsets` returns.
        """
        fitting = players // size
        partitions = -(-count // fitting)
        numbers = self.streams.uniform(self._key(purpose), self.step, (self.points * partitions, players))
        members = numbers.argsort(-1)[..., : fitting * size].unflatten(-1, (fitting, size))
        drawn = torch.zeros(*members.shape[:-1], players, dtype=torch.bool).scatter_(-1, members, True)
        by_point = drawn.flatten(1, 2).unflatten(1, (self.points, -1))[:, :, :count]
        return self._by_row(by_point[:, 0] if self.points == 1 else by_point).to(self.like.device)

    def _key(self, purpose: str) -> str:
        return f"{purpose}, ask {self.query}" if self.query else purpose  # other words would change the numbers

    def _shape(self, shape: Sequence[int]) -> Sequence[int]:
        return shape if self.points == 1 else (self.points, *shape)

    def _by_row(self, drawn: Tensor) -> Tensor:
        by_row = drawn if self.points == 1 else drawn.flatten(0, 1)
        if self.rows is None:
            return by_row
        return by_row[self.rows] if isinstance(self.rows, slice) else by_row[self.rows.cpu()]
