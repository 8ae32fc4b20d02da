"""Point clouds stored as images [n, 3, points, 1] in [0, 1]: farthest point sampling, and regions as players."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from .lazy import torch


def is_cloud(shape: tuple[int, ...]) -> bool:
    """Return whether an image shape (c, h, w) is that of a point cloud."""
    return shape[0] == 3 and shape[2] == 1


def squared_distances(points: Tensor, others: Tensor) -> Tensor:
    """Compute all squared Euclidean distances between two sets of points.

    They are summed by coordinate, because the rounding of a matrix product (`torch.cdist`) can depend on the batch.

    Args:
        points: Coordinates [n, p, 3].
        others: Coordinates [n, q, 3].

    Returns:
        Squared distances [n, p, q].
    """
    x, y, z = ((points[:, :, None, k] - others[:, None, :, k]).square() for k in range(3))
    return x + y + z


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Choose points by farthest point sampling.

    The first point is the farthest from the centre of the unit cube, so the choice is deterministic and independent
    of the order of the points. If fewer than `count` points are distinct, some are repeated.

    Args:
        points: Coordinates [n, p, 3] in [0, 1].
        count: Number of points to choose.

    Returns:
        Indices of the chosen points, int64 [n, count].
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
    """Assign each point to the nearest of `count` farthest points.

    No region is empty if at least `count` points are distinct.

    Args:
        clouds: Point clouds [n, 3, p, 1].
        count: Number of regions.

    Returns:
        Region of each point, int64 [n, p].
    """
    points = clouds.squeeze(-1).transpose(1, 2)
    chosen = farthest_points(points, count)
    centres = points.gather(1, chosen[..., None].expand(-1, -1, 3))
    return squared_distances(points, centres).argmin(-1)
