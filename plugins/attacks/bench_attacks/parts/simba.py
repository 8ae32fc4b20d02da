"""SimBA (Guo et al., 2019; arXiv:1905.07121): steps along random pixels or cosine waves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt, Le

from bench_core.types import AttackRecipe, Budget, Cost, Examples, Rejection, Streams

from ..cosines import cosine_matrix
from ..trials import SignedTrials, Tried

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass
class Orders:
    """A run's random orders of the basis, one for each image; another one after every direction has been tried.

    Attributes:
        shape: The shape (c, h, w) of the images.
        counts: The channels, and the frequencies or pixels in each direction, that the basis has.
        waves: Whether the basis has cosine waves, else pixels.
    """

    rng: Streams
    shape: tuple[int, ...]
    counts: tuple[int, int, int]
    waves: bool
    orders: dict[int, Tensor] = field(default_factory=dict)

    def next(self, tried: Tried) -> Tensor:
        size = math.prod(self.counts)
        chosen = []
        for row, turn in zip(tried.rows.tolist(), tried.turns.tolist(), strict=True):
            again, place = divmod(turn, size)
            if again not in self.orders:
                self.orders[again] = self.rng.uniform("simba order", again, (size,)).argsort(1)
            chosen.append(int(self.orders[again][row, place]))
        return torch.stack([self._direction(index, tried.points) for index in chosen])

    def _direction(self, index: int, like: Tensor) -> Tensor:
        """Return an element of the basis, [c, h, w] of length 1."""
        _, down, across = self.counts
        channel, place = divmod(index, down * across)
        row, column = divmod(place, across)
        direction = torch.zeros(self.shape, dtype=like.dtype, device=like.device)
        if self.waves:
            height, width = self.shape[1:]
            vertical = cosine_matrix(height, like.dtype, like.device)[row]
            direction[channel] = vertical[:, None] * cosine_matrix(width, like.dtype, like.device)[column]
        else:
            direction[channel, row, column] = 1
        return direction


@dataclass(frozen=True)
class Basis:
    """An orthonormal basis: single pixels of one channel, or its cosine waves of low frequency."""

    waves: bool
    share: float
    cost: ClassVar[Cost] = Cost(1, 0)

    def check_source(self, _model: Model) -> Rejection | None:
        return None

    def start(self, _model: Model, examples: Examples, rng: Streams) -> Orders:
        channels, height, width = examples.images.shape[1:]
        share = self.share if self.waves else 1
        counts = (channels, math.ceil(share * height), math.ceil(share * width))
        return Orders(rng, (channels, height, width), counts, self.waves)


def simba(
    budget: Budget,
    basis: Literal["pixels", "cosines"] = "cosines",
    frequencies: Annotated[float, Gt(0), Le(1)] = 0.125,
) -> SignedTrials:
    """Build the attack.

    Args:
        budget: The budget. The paper's step is 0.2, in L2.
        basis: The directions.
        frequencies: The share of the frequencies of each side that cosine waves have, from the lowest.
    """
    return SignedTrials(budget, Basis(basis == "cosines", frequencies))


RECIPE = AttackRecipe(simba, "Steps along pixels or cosine waves, by queries for scores (Guo et al., 2019).")
