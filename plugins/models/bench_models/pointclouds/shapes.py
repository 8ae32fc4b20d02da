"""Generates point clouds of ten classes of solids, without files or downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from .surfaces import Floats, as_cloud, revolve, spread

ROUND = 48  # sides of the polygon in place of a circle
JITTER = 0.02  # standard deviation, in units of the solids' radius


def arc(start: float, end: float, radius: float = 1.0, steps: int = 16) -> Floats:
    """Return an arc about (0, 0) as (radius, height) [steps + 1, 2]; angles from the equator, in right angles."""
    angle = np.linspace(start, end, steps + 1) * np.pi / 2
    return radius * np.stack([np.cos(angle), np.sin(angle)], -1)


def sphere(_draw: np.random.Generator) -> Floats:
    return revolve(arc(-1, 1), ROUND)


def torus(draw: np.random.Generator) -> Floats:
    return revolve(np.array([1, 0]) + arc(-2, 2, draw.uniform(0.2, 0.45)), ROUND)


def capsule(draw: np.random.Generator) -> Floats:
    middle = (0, draw.uniform(0.3, 1.2))
    return revolve(np.concatenate([arc(-1, 0) - middle, arc(0, 1) + middle]), ROUND)


def tube(draw: np.random.Generator) -> Floats:
    height = draw.uniform(0.5, 1.6)
    return revolve([(1, -height), (1, height)], ROUND)


def column(sides: int) -> Callable[[np.random.Generator], Floats]:
    def make(draw: np.random.Generator) -> Floats:
        height = draw.uniform(0.5, 1.6)
        return revolve([(0, -height), (1, -height), (1, height), (0, height)], sides)

    return make


def spire(sides: int) -> Callable[[np.random.Generator], Floats]:
    def make(draw: np.random.Generator) -> Floats:
        return revolve([(0, 0), (1, 0), (0, draw.uniform(1.0, 2.4))], sides)

    return make


SOLIDS: Mapping[str, Callable[[np.random.Generator], Floats]] = {
    "sphere": sphere,
    "cylinder": column(ROUND),
    "tube": tube,
    "cone": spire(ROUND),
    "torus": torus,
    "capsule": capsule,
    "box": column(4),
    "pyramid": spire(4),
    "prism": column(3),
    "tetrahedron": spire(3),
}


def rotation(draw: np.random.Generator) -> Floats:
    """Return a uniformly random rotation matrix [3, 3], from a random unit quaternion."""
    w, x, y, z = (q := draw.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def make_shape(kind: str, points: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Generate a cloud of a solid that is stretched along its axes, sampled, jittered and rotated at random.

    Args:
        kind: Name in `SOLIDS`.
        points: Number of points.
        draw: Source of all random numbers.

    Returns:
        The cloud [3, points, 1] in [0, 1].
    """
    mesh = SOLIDS[kind](draw) * draw.uniform(0.8, 1.25, 3)
    cloud = spread(mesh, points, draw)
    return as_cloud((cloud + JITTER * draw.standard_normal(cloud.shape)) @ rotation(draw))


class Shapes:
    """Generated clouds, with the ten classes in turn. An id is the SHA-256 of a cloud's float32 coordinates.

    Args:
        count: Number of clouds; cloud i of a seed does not depend on it.
        points: Number of points in a cloud.
        seed: Seed of the clouds; `TRAINING_SEED` and above are those on which the embedded networks were trained.
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
        return self.clouds[list(indices)]


TRAINING_SEED = 2**20
