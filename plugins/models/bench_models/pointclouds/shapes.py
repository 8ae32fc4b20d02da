"""Ten classes of solids as point clouds, made on the spot: no file, no download, as many as are wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from .surfaces import Floats, as_cloud, revolve, spread

ROUND = 48  # sides of what is round
JITTER = 0.02  # of the unit radius


def arc(start: float, end: float, radius: float = 1.0, steps: int = 16) -> Floats:
    """Give an arc round (0, 0) as (radius, height), angles from the equator in units of a right angle."""
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
    """Draw a rotation [3, 3] uniformly, from a random unit quaternion."""
    w, x, y, z = (q := draw.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def make_shape(kind: str, points: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """Make one cloud [3, points, 1]: a solid, stretched along its axes, points over it, jittered, turned any way."""
    mesh = SOLIDS[kind](draw) * draw.uniform(0.8, 1.25, 3)
    cloud = spread(mesh, points, draw)
    return as_cloud((cloud + JITTER * draw.standard_normal(cloud.shape)) @ rotation(draw))


class Shapes:
    """`count` clouds of ten classes in turn; number i of a `seed` is the same whatever the count.

    The embedded networks have seen other seeds' only, `TRAINING_SEED` and above.
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
