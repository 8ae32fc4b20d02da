"""Coalition games: a value for every set of players, for many images and many sets at a time."""

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

    Output = Callable[[Tensor, Tensor], Tensor]  # logits [b, classes], classes [b] -> value [b]
else:
    from bench_core.lazy import torch


class Game(Protocol):
    """One game per image: `game(coalitions)` returns the values [n, k] of the sets of players in `coalitions`.

    `coalitions` is bool [n, k, players], or [1, k, players] for the same sets in every game.
    """

    @property
    def players(self) -> int: ...

    def __call__(self, coalitions: Tensor) -> Tensor: ...

    def take(self, rows: Tensor) -> Self:
        """Return the games of some of the images, `rows` int [m]."""


@dataclass(frozen=True)
class CellGame:
    """A game whose players are the cells of a square grid: cells in the coalition show one image, the others another.

    With the adversarial and the clean image it is the game of a perturbation (arXiv:2010.04055, sec. 3.1); with an
    image and a baseline, that of the image (arXiv:2103.07364).

    Attributes:
        model: The network.
        present: What cells in the coalition show, [n, c, h, w].
        absent: What the other cells show, [n, c, h, w].
        grid: Cells per side.
        output: Reduces a batch of logits to one value per row, so that only one batch of logits exists at a time.
        classes: The class that `output` is given, int64 [n].
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
        return values_in_batches(self._values, coalitions, self.present, self.model)

    def _values(self, coalitions: Tensor, image: Tensor) -> Tensor:
        kept = cells_to_pixels(coalitions, self.grid, self.present.shape[-2:])
        inputs = torch.where(kept, self.present[image], self.absent[image])
        return self.output(self.model(inputs), self.classes[image])

    def take(self, rows: Tensor) -> Self:
        rows = rows.to(self.present.device)
        return replace(self, present=self.present[rows], absent=self.absent[rows], classes=self.classes[rows])


def values_in_batches(
    values: Callable[[Tensor, Tensor], Tensor], coalitions: Tensor, images: Tensor, model: Model
) -> Tensor:
    """Compute the values of coalitions in batches whose size depends on the model alone, not on n or k.

    Args:
        values: Maps coalitions [b, players] and the indices of their images [b] to values [b].
        coalitions: Sets of players, bool [n or 1, k, players].
        images: The images of the games, [n, ...].
        model: The network that `values` calls.

    Returns:
        Values [n, k].
    """
    count, sets = len(images), coalitions.shape[1]
    kept = coalitions.expand(count, -1, -1).flatten(0, 1)
    image = torch.arange(count).repeat_interleave(sets).to(images.device)
    parts = in_parts(lambda rows: values(kept[rows].to(images.device), image[rows]), len(kept), 1, model, images)
    return torch.cat(list(parts)).view(count, sets)


def all_coalitions(players: int) -> Tensor:
    """Return all sets of players, bool [2^players, players]; set s contains player i if bit i of s is set."""
    return (torch.arange(2**players)[:, None] >> torch.arange(players)) & 1 == 1
