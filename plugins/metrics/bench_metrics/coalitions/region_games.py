"""The game of a point cloud: the network's output when only the points of some regions are in place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from .games import values_in_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from .games import Output
else:
    from bench_core.lazy import torch

CENTRE = 0.5  # of the unit cube: every clean cloud is centred there, so it is the mean of any dataset of them


@dataclass(frozen=True)
class RegionGame:
    """A game whose players are regions of points; points of absent regions move to the centre (2103.07364, sec. 4.1).

    Attributes:
        model: The network.
        clouds: Point clouds [n, 3, p, 1].
        regions: Region of each point, int64 [n, p].
        players: Number of regions.
        output: Reduces a batch of logits to one value per row.
        classes: The class that `output` is given, int64 [n].
    """

    model: Model
    clouds: Tensor
    regions: Tensor
    players: int
    output: Output
    classes: Tensor

    def __call__(self, coalitions: Tensor) -> Tensor:
        return values_in_batches(self._values, coalitions, self.clouds, self.model)

    def _values(self, coalitions: Tensor, cloud: Tensor) -> Tensor:
        kept = coalitions.gather(1, self.regions[cloud])[:, None, :, None]
        inputs = torch.where(kept, self.clouds[cloud], CENTRE)
        return self.output(self.model(inputs), self.classes[cloud])

    def take(self, rows: Tensor) -> Self:
        rows = rows.to(self.clouds.device)
        return replace(self, clouds=self.clouds[rows], regions=self.regions[rows], classes=self.classes[rows])
