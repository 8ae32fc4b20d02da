"""Generates point clouds of ten classes of solids; no files are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from .surfaces import Floats, as_cloud, revolve, sample_surface

CIRCLE_SIDES = 48  # a circle is approximated by a regular polygon
JITTER = 0.02  # standard deviation of the noise on points, in units of the solids' radius


def arc(start: float, end: float, radius: float = 1.0, steps: int = 16) -> Floats:
    """Return an arc about (0, 0) as points (radius, height), [steps + 1, 2].

    Args:
        start: Angle of the first point above the equator, in units of 90 degrees.
        end: Angle of the last point.
        radius: Radius of the arc.
        steps: Number of segments.
    """
    angle = np.linspace(start, end, steps + 1) * np.pi / 2
    return radius * np.stack([np.cos(angle), np.sin(angle)], -1)


def sphere(_rng: np.random.Generator) -> Floats:
    return revolve(arc(-1, 1), CIRCLE_SIDES)


def torus(rng: np.random.Generator) -> Floats:
    return revolve(np.array([1, 0]) + arc(-2, 2, rng.uniform(0.2, 0.45)), CIRCLE_SIDES)


def capsule(rng: np.random.Generator) -> Floats:
    half_height = (0, rng.uniform(0.3, 1.2))
    return revolve(np.concatenate([arc(-1, 0) - half_height, arc(0, 1) + half_height]), CIRCLE_SIDES)


def tube(rng: np.random.Generator) -> Floats:
    height = rng.uniform(0.5, 1.6)
    return revolve([(1, -height), (1, height)], CIRCLE_SIDES)


def cylinder(sides: int) -> Callable[[np.random.Generator], Floats]:
    """Return a generator of closed cylinders over a regular polygon."""

    def make(rng: np.random.Generator) -> Floats:
        height = rng.uniform(0.5, 1.6)
        return revolve([(0, -height), (1, -height), (1, height), (0, height)], sides)

    return make


def cone(sides: int) -> Callable[[np.random.Generator], Floats]:
    """Return a generator of closed cones over a regular polygon."""

    def make(rng: np.random.Generator) -> Floats:
        return revolve([(0, 0), (1, 0), (0, rng.uniform(1.0, 2.4))], sides)

    return make


SOLIDS: Mapping[str, Callable[[np.random.Generator], Floats]] = {
    "sphere": sphere,
    "cylinder": cylinder(CIRCLE_SIDES),
    "tube": tube,
    "cone": cone(CIRCLE_SIDES),
    "torus": torus,
    "capsule": capsule,
    "box": cylinder(4),
    "pyramid": cone(4),
    "prism": cylinder(3),
    "tetrahedron": cone(3),
}


def rotation(rng: np.random.Generator) -> Floats:
    """Return a uniformly random rotation matrix [3, 3], from a random unit quaternion."""
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def make_shape(kind: str, points: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Generate the cloud of a random solid: stretched along its axes, sampled, jittered and rotated.

    Args:
        kind: Class, a key of `SOLIDS`.
        points: Number of points.
        rng: Source of all random numbers.

    Returns:
        The cloud [3, points, 1] in [0, 1].
    """
    mesh = SOLIDS[kind](rng) * rng.uniform(0.8, 1.25, 3)
    cloud = sample_surface(mesh, points, rng)
    return as_cloud((cloud + JITTER * rng.standard_normal(cloud.shape)) @ rotation(rng))


class Shapes:
    """Generated clouds. Cloud i has class i modulo ten. An id is the SHA-256 of a cloud's float32 coordinates.

    Args:
        count: Number of clouds. It does not change them: cloud i depends on the seed, i and `points` alone.
        points: Number of points in a cloud.
        seed: Seed of the clouds. Seeds from 2^20 (`TRAINING_SEED`) are for training.
    """

    classes = tuple(SOLIDS)

    def __init__(
        self, count: Annotated[int, Gt(0)] = 500, points: Annotated[int, Gt(0)] = 256, seed: Annotated[int, Ge(0)] = 0
    ) -> None:
        self.shape: tuple[int, int, int] = (3, points, 1)
        self.labels: Sequence[int] = [index % len(SOLIDS) for index in range(count)]
        self.clouds = np.stack(
            [
                make_shape(self.classes[label], points, np.random.default_rng((seed, index)))
                for index, label in enumerate(self.labels)
            ]
        )
        self.ids: Sequence[str] = [hashlib.sha256(cloud.tobytes()).hexdigest() for cloud in self.clouds]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return the clouds at these indices, [n, 3, points, 1] in [0, 1]."""
        return self.clouds[list(indices)]


TRAINING_SEED = 2**20
