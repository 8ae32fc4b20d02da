"""A small PointNet++ (Qi et al., 2017; arXiv:1706.02413) for clouds [n, 3, points, 1] in [0, 1]."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from bench_core.clouds import farthest_points, squared_distances

from ..embedded.networks import conv


def gather_rows(values: Tensor, indices: Tensor) -> Tensor:
    """Return the rows [n, ..., c] of values [n, p, c] at indices [n, ...]."""
    flat = indices.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
    rows: Tensor = values.gather(1, flat).unflatten(1, indices.shape[1:])
    return rows


def ball_query(points: Tensor, centres: Tensor, neighbours: int, radius: float) -> Tensor:
    """Find the points nearest to each centre. Points beyond the radius are replaced by the nearest point.

    Args:
        points: Points [n, p, 3].
        centres: Centres [n, s, 3].
        neighbours: Number k of points for each centre.
        radius: Largest distance, in units of the unit cube.

    Returns:
        Indices of points, int64 [n, s, k].
    """
    squared, indices = squared_distances(centres, points.detach()).topk(neighbours, largest=False)
    return torch.where(squared <= radius**2, indices, indices[..., :1])


class SetAbstraction(nn.Module):
    """A set abstraction level (sec. 3.2): group points into balls, apply shared layers to each point, take the maximum.

    Args:
        centres: Number of balls, whose centres are chosen by farthest point sampling.
        neighbours: Number of points in a ball.
        radius: Radius of a ball, in units of the unit cube.
        widths: Numbers of channels from the input (3 coordinates and the features) through all layers.
    """

    def __init__(self, centres: int, neighbours: int, radius: float, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.centres, self.neighbours, self.radius = centres, neighbours, radius
        self.layers = nn.Sequential(*(conv(inputs, outputs, 1) for inputs, outputs in pairwise(widths)))

    def forward(self, points: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Group points and compute the features of each group.

        Args:
            points: Points [n, p, 3].
            features: Their features [n, p, c], or None.

        Returns:
            Centres [n, s, 3], and their features [n, s, c'].
        """
        centres = gather_rows(points, farthest_points(points, self.centres))
        indices = ball_query(points, centres.detach(), min(self.neighbours, points.shape[1]), self.radius)
        relative = (gather_rows(points, indices) - centres[:, :, None]) / self.radius
        grouped = relative if features is None else torch.cat([relative, gather_rows(features, indices)], -1)
        pooled = self.layers(grouped.permute(0, 3, 1, 2)).amax(-1)
        return centres, pooled.transpose(1, 2)


class PointNet2(nn.Module):
    """Two set abstraction levels, a third over all remaining points, and a classifier.

    It maps clouds [n, 3, p, 1] in [0, 1] to logits [n, classes].
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.fine = SetAbstraction(48, 12, 0.2, (3, 32, 64))
        self.coarse = SetAbstraction(12, 12, 0.4, (67, 64, 128))
        # the third level: layers for each remaining point (the attribute is named in the weights files)
        self.whole = nn.Sequential(conv(131, 128, 1), conv(128, 192, 1))
        self.head = nn.Sequential(nn.Linear(192, 96), nn.ReLU(), nn.Dropout(0.3), nn.Linear(96, classes))

    def forward(self, clouds: Tensor) -> Tensor:
        points = clouds.squeeze(-1).transpose(1, 2)
        points, features = self.coarse(*self.fine(points, None))
        inputs = torch.cat([2 * points - 1, features], -1).transpose(1, 2)[..., None]
        logits: Tensor = self.head(self.whole(inputs).amax((2, 3)))
        return logits
