"""Coalition games: a value for every set of players, many images and many sets at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from bench_core.batches import in_parts
from bench_core.grid import cells_to_pixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    Output = Callable[[Tensor, Tensor], Tensor]  # logits [b, classes], classes [b] -> what counts [b]
else:
    from bench_core.lazy import torch


class Game(Protocol):
    """One game an image: `game(coalitions)` gives the values [n, k] of the sets of players in `coalitions`.

    `coalitions` is bool [n, k, players], or [1, k, players] for the same sets in every image's game.
    """

    @property
    def players(self) -> int: ...

    def __call__(self, coalitions: Tensor) -> Tensor: ...

    def take(self, rows: Tensor) -> Self:
        """The games of some of the images, `rows` int [m]."""


@dataclass(frozen=True)
class CellGame:
    """The cells of a `grid` x `grid` division are the players: those of the coalition show `present`, others `absent`.

    `present` [n, c, h, w]; `absent` [n, c, h, w]. With the adversarial and the clean images it is the game of a
    perturbation (arXiv:2010.04055, sec. 3.1); with an image and a baseline, that of the image (arXiv:2103.07364).
    `output` keeps the one number that counts of each row of logits, given the image's class of `classes` int [n], so
    that no more than one batch of logits ever exists.
    """

    model: Model
    present: Tensor
    absent: Tensor
    grid: int
    output: Output
    classes: Tensor

    @property
    def players(self) -> int:
        return self.grid**2

    def __call__(self, coalitions: Tensor) -> Tensor:
        return in_full_batches(self._values, coalitions, self.present, self.model)

    def _values(self, coalitions: Tensor, image: Tensor) -> Tensor:
        kept = cells_to_pixels(coalitions, self.grid, self.present.shape[-2:])
        inputs = torch.where(kept, self.present[image], self.absent[image])
        return self.output(self.model(inputs), self.classes[image])

    def take(self, rows: Tensor) -> Self:
        rows = rows.to(self.present.device)
        return replace(self, present=self.present[rows], absent=self.absent[rows], classes=self.classes[rows])


def in_full_batches(
    values: Callable[[Tensor, Tensor], Tensor], coalitions: Tensor, images: Tensor, model: Model
) -> Tensor:
    """Give the values [n, k] of `coalitions` [n or 1, k, players] in the games of `images` [n, ...] of `model`.

    `values` takes coalitions [b, players] and the places of their images [b] to their values [b]. Batches are as large
    as is good for the model, whatever n and k are.
    """
    count, sets = len(images), coalitions.shape[1]
    kept = coalitions.expand(count, -1, -1).flatten(0, 1)
    image = torch.arange(count).repeat_interleave(sets).to(images.device)
    parts = in_parts(lambda rows: values(kept[rows].to(images.device), image[rows]), len(kept), 1, model, images)
    return torch.cat(list(parts)).view(count, sets)


def every_coalition(players: int) -> Tensor:
    """Give all sets, bool [2^players, players]; set number s holds player i where bit i of s is set."""
    return (torch.arange(2**players)[:, None] >> torch.arange(players)) & 1 == 1
