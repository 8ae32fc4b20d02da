"""Point clouds as images: [n, 3, points, 1] in [0, 1]. Farthest points, and the regions round them as players."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from .lazy import torch


def is_cloud(shape: tuple[int, ...]) -> bool:
    """Say whether an image's shape (c, h, w) is that of a point cloud."""
    return shape[0] == 3 and shape[2] == 1


def squared_distances(points: Tensor, others: Tensor) -> Tensor:
    """Give all squared distances: points [n, p, 3], others [n, q, 3] -> [n, p, q]; no number depends on the batch."""
    x, y, z = ((points[:, :, None, k] - others[:, None, :, k]).square() for k in range(3))
    return x + y + z


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Choose `count` of points [n, p, 3], each the farthest from those before it: their places, int64 [n, count].

    The first is the farthest from the cube's centre, so that neither chance nor the order of the points matters. Where
    fewer points differ, some stand twice.
    """
    points = points.detach()
    last = (points - 0.5).square().sum(-1).argmax(1)
    distance, chosen = torch.full(points.shape[:2], float("inf"), device=points.device), []
    for _ in range(count):
        chosen.append(last)
        centre = points.gather(1, last[:, None, None].expand(-1, 1, 3))
        distance = torch.minimum(distance, (points - centre).square().sum(-1))
        last = distance.argmax(1)
    return torch.stack(chosen, 1)


def regions(clouds: Tensor, count: int) -> Tensor:
    """Give the region of each point of clouds [n, 3, p, 1], int64 [n, p]: the nearest of `count` farthest points.

    Every region has a point where `count` points differ.
    """
    points = clouds.squeeze(-1).transpose(1, 2)
    chosen = farthest_points(points, count)
    centres = points.gather(1, chosen[..., None].expand(-1, -1, 3))
    return squared_distances(points, centres).argmin(-1)
