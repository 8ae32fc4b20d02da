"""The game of a point cloud: what a network says of it when only the points of some regions are where they were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from .games import in_full_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from .games import Output
else:
    from bench_core.lazy import torch

CENTRE = 0.5  # of the cube: the mean of every clean cloud, and so of any dataset of them


@dataclass(frozen=True)
class RegionGame:
    """Regions of points are the players: the points of absent ones go to the centre (arXiv:2103.07364, sec. 4.1).

    `clouds` [n, 3, p, 1]; `regions` int [n, p] says to which of `players` regions each point belongs. `output` keeps
    the one number that counts of each row of logits, given the cloud's class of `classes` int [n].
    """

    model: Model
    clouds: Tensor
    regions: Tensor
    players: int
    output: Output
    classes: Tensor

    def __call__(self, coalitions: Tensor) -> Tensor:
        return in_full_batches(self._values, coalitions, self.clouds, self.model)

    def _values(self, coalitions: Tensor, cloud: Tensor) -> Tensor:
        kept = coalitions.gather(1, self.regions[cloud])[:, None, :, None]
        inputs = torch.where(kept, self.clouds[cloud], CENTRE)
        return self.output(self.model(inputs), self.classes[cloud])

    def take(self, rows: Tensor) -> Self:
        rows = rows.to(self.clouds.device)
        return replace(self, clouds=self.clouds[rows], regions=self.regions[rows], classes=self.classes[rows])
