"""Coalition games: a value for every set of players, many images and many sets at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench_core.grid import cells_to_pixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch

INPUTS_AT_ONCE = {"cpu": 256, "cuda": 512}  # a larger batch is slower on a CPU and no faster on a GPU


class Game(Protocol):
    """One game an image: `game(coalitions)` gives the values [n, k] of the sets of players in `coalitions`.

    `coalitions` is bool [n, k, players], or [1, k, players] for the same sets in every image's game.
    """

    @property
    def players(self) -> int: ...

    def __call__(self, coalitions: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class CellGame:
    """The cells of a `grid` x `grid` division are the players: those of the coalition show `present`, others `absent`.

    `present` [n, c, h, w]; `absent` [n, c, h, w] or broadcastable to it. With the adversarial and the clean images it
    is the game of a perturbation (arXiv:2010.04055, sec. 3.1); with an image and a baseline, that of the image
    (arXiv:2103.07364). `value` keeps of the logits [n, k, classes] the one number [n, k] that counts, so that no more
    than one batch of logits ever exists. Batches are as large as the device likes, whatever n and k are.
    """

    model: Model
    present: Tensor
    absent: Tensor
    grid: int
    value: Callable[[Tensor], Tensor]

    @property
    def players(self) -> int:
        return self.grid**2

    def __call__(self, coalitions: Tensor) -> Tensor:
        images = len(self.present)
        at_once = max(1, INPUTS_AT_ONCE.get(self.present.device.type, 256) // images)
        return torch.cat([self._values(part.expand(images, -1, -1)) for part in coalitions.split(at_once, 1)], 1)

    def _values(self, coalitions: Tensor) -> Tensor:
        kept = cells_to_pixels(coalitions.to(self.present.device), self.grid, self.present.shape[-2:])
        inputs = torch.where(kept, self.present[:, None], self.absent[:, None])
        return self.value(self.model(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2]))


def every_coalition(players: int) -> Tensor:
    """Give all sets, bool [2^players, players]; set number s holds player i where bit i of s is set."""
    return (torch.arange(2**players)[:, None] >> torch.arange(players)) & 1 == 1
