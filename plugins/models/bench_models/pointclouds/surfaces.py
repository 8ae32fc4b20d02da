"""Triangle meshes: surfaces made by rotating a profile, and points sampled from a surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def revolve(profile: ArrayLike, sides: int) -> Floats:
    """Rotate a profile about the vertical axis, in steps, so that horizontal sections are regular polygons.

    With three sides the profile of a cylinder gives a prism and that of a cone a tetrahedron; with four sides, a box
    and a pyramid.

    Args:
        profile: Polyline of points (radius, height), [k, 2].
        sides: Number of sides of the polygons.

    Returns:
        Corners of the triangles, [t, 3, 3].
    """
    radius, height = np.asarray(profile, dtype=np.float64).T
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    rings = np.stack(
        [
            radius * np.cos(angle)[:, None],
            radius * np.sin(angle)[:, None],
            np.broadcast_to(height, (sides + 1, len(height))),
        ],
        axis=-1,
    )
    a, b, c, d = rings[:-1, :-1], rings[1:, :-1], rings[:-1, 1:], rings[1:, 1:]
    return np.concatenate([np.stack([a, b, c], -2).reshape(-1, 3, 3), np.stack([b, d, c], -2).reshape(-1, 3, 3)])


def sample_surface(triangles: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Sample points from triangles, uniformly by area.

    Args:
        triangles: Corners of the triangles, [t, 3, 3].
        count: Number of points.
        rng: Source of all random numbers.

    Returns:
        Points [count, 3].

    Raises:
        ValueError: The triangles have no area.
    """
    corner = triangles[:, 0]
    first_edge, second_edge = triangles[:, 1] - corner, triangles[:, 2] - corner
    area = np.cumsum(np.linalg.norm(np.cross(first_edge, second_edge), axis=1))  # cumulative, twice the true area
    if not (len(area) and area[-1] > 0):
        raise ValueError("the mesh has no area")
    chosen = np.searchsorted(area, rng.random(count) * area[-1], side="right").clip(max=len(area) - 1)
    u, v = rng.random((2, count, 1))
    # a point of the parallelogram that lies outside the triangle is reflected into it
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points: Floats = corner[chosen] + u * first_edge[chosen] + v * second_edge[chosen]
    return points


def as_cloud(points: Floats) -> NDArray[np.float32]:
    """Move and scale points [p, 3] into the ball inscribed in the unit cube: a cloud [3, p, 1] in [0, 1].

    Coordinates are rounded to multiples of 2^-16, so that a cloud is bitwise the same on every machine.
    """
    centred = points - points.mean(0)
    scaled = 0.5 + 0.5 * centred / np.linalg.norm(centred, axis=1).max()
    rounded: NDArray[np.float32] = (np.round(scaled * 2**16) / 2**16).astype(np.float32)
    return np.ascontiguousarray(rounded.T[:, :, None])
