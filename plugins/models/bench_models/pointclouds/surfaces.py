"""Triangle meshes: solids of revolution with round or polygonal sections, and points sampled from a surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def revolve(profile: ArrayLike, sides: int) -> Floats:
    """Rotate a profile about the vertical axis.

    With three sides the profile of a cylinder gives a prism and that of a cone a tetrahedron; with four, a box and a
    pyramid.

    Args:
        profile: Line of (radius, height), [k, 2].
        sides: Number of steps of the rotation.

    Returns:
        Triangles [t, 3, 3].
    """
    radius, height = np.asarray(profile, dtype=np.float64).T
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    ring = np.stack(
        [
            radius * np.cos(angle)[:, None],
            radius * np.sin(angle)[:, None],
            np.broadcast_to(height, (sides + 1, len(height))),
        ],
        axis=-1,
    )
    a, b, c, d = ring[:-1, :-1], ring[1:, :-1], ring[:-1, 1:], ring[1:, 1:]
    return np.concatenate([np.stack([a, b, c], -2).reshape(-1, 3, 3), np.stack([b, d, c], -2).reshape(-1, 3, 3)])


def spread(triangles: Floats, count: int, draw: np.random.Generator) -> Floats:
    """Sample points [count, 3] uniformly by area from triangles [t, 3, 3]. Raises ValueError for a mesh of no area."""
    corner, one, other = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = np.cumsum(np.linalg.norm(np.cross(one, other), axis=1))
    if not (len(area) and area[-1] > 0):
        raise ValueError("the mesh has no area")
    chosen = np.searchsorted(area, draw.random(count) * area[-1], side="right").clip(max=len(area) - 1)
    u, v = draw.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points: Floats = corner[chosen] + u * one[chosen] + v * other[chosen]
    return points


def as_cloud(points: Floats) -> NDArray[np.float32]:
    """Centre points [p, 3] in the unit cube and scale them to its inscribed ball: a cloud [3, p, 1] in [0, 1].

    Coordinates are rounded to 2^-16, so that a cloud is the same to the bit on every machine.
    """
    centred = points - points.mean(0)
    scaled = 0.5 + 0.5 * centred / np.linalg.norm(centred, axis=1).max()
    rounded: NDArray[np.float32] = (np.round(scaled * 2**16) / 2**16).astype(np.float32)
    return np.ascontiguousarray(rounded.T[:, :, None])
