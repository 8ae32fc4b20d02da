"""ModelNet's meshes (Wu et al., 2015) as point clouds, from its folders `root/<class>/<split>/*.off`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, overload

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from ..datasets.pixel_ids import pixel_id
from .surfaces import Floats, as_cloud, spread


def read_off(text: str) -> Floats:
    """Return the triangles [t, 3, 3] of an OFF file; a face of more corners becomes a fan of triangles.

    In some of ModelNet40's files the counts follow the word OFF on the first line.

    Raises:
        ValueError: The text is no OFF file, or is incomplete.
    """
    words = text.replace("OFF", "OFF ", 1).split()
    if not words or words[0] != "OFF":
        raise ValueError("no OFF file")
    try:
        corners, faces = int(words[1]), int(words[2])
        places = np.array(words[4 : 4 + 3 * corners], dtype=np.float64).reshape(corners, 3)
        rest = np.array(words[4 + 3 * corners :], dtype=np.int64)
        return places[fans(rest, faces)]
    except IndexError:
        raise ValueError("fewer corners or faces than it says") from None


def fans(rest: NDArray[np.int64], faces: int) -> NDArray[np.int64]:
    """Return the corners of the triangles [t, 3] from faces written as their number of corners, then these."""
    if len(rest) == 4 * faces and (rest[::4] == 3).all():
        return rest.reshape(faces, 4)[:, 1:]
    triangles, start = [], 0
    for _ in range(faces):
        count = int(rest[start])
        face = rest[start + 1 : start + 1 + count]
        triangles += [(face[0], face[k], face[k + 1]) for k in range(1, count - 1)]
        start += 1 + count
    return np.array(triangles, dtype=np.int64).reshape(-1, 3)


class ModelNet:
    """Point clouds drawn uniformly from the surfaces of ModelNet's meshes; classes are the folders in sorted order.

    An id is the digest of the cloud's coordinates, so to have one makes the cloud. Clouds are made when they are first
    needed and then kept (12 bytes per point).

    Args:
        root: Folder of the class folders. By default `BENCH_DATA`.
        split: Which split.
        points: Number of points in a cloud.
        per_class: Number of meshes of each class, the first by name; by default all.
        seed: Seed of the points; those of a mesh also depend on its file's content.

    Raises:
        UsageError: There are no meshes. `load` and `ids` raise it for a mesh that cannot be read.
    """

    def __init__(
        self,
        root: str = "",
        split: Literal["train", "test"] = "test",
        points: Annotated[int, Gt(0)] = 1024,
        per_class: Annotated[int, Gt(0)] | None = None,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        root = root or os.environ.get("BENCH_DATA", "")
        if not root:
            raise UsageError(Fault("data", "root", "no folder of meshes is given (--data DIR, or BENCH_DATA)"))
        found = {path.parent.parent.name for path in Path(root).glob(f"*/{split}/*.off")}
        if not found:
            raise UsageError(Fault("data", "root", f"no meshes {root}/<class>/{split}/*.off"))
        self.classes = tuple(sorted(found))
        self.points, self.seed, self.shape = points, seed, (3, points, 1)
        self.files: list[Path] = []
        self.labels: Sequence[int] = []
        for label, name in enumerate(self.classes):
            files = sorted((Path(root) / name / split).glob("*.off"))[:per_class]
            self.files += files
            self.labels = [*self.labels, *[label] * len(files)]
        self.clouds: dict[int, NDArray[np.float32]] = {}
        self.ids = CloudIds(self)

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return np.stack([self.cloud(index) for index in indices])

    def cloud(self, index: int) -> NDArray[np.float32]:
        """Return the cloud [3, points, 1] of a mesh in [0, 1]."""
        if index not in self.clouds:
            file = self.files[index]
            try:
                content = file.read_bytes()
                draw = np.random.default_rng((self.seed, int(hashlib.sha256(content).hexdigest()[:16], 16)))
                self.clouds[index] = as_cloud(spread(read_off(content.decode("ascii")), self.points, draw))
            except (OSError, ValueError) as error:
                raise UsageError(Fault(str(file), "", f"cannot read the mesh: {error}")) from None
        return self.clouds[index]


class CloudIds(Sequence[str]):
    """The ids of a dataset's clouds, each computed when it is first needed: a worker needs only those of its jobs."""

    def __init__(self, data: ModelNet) -> None:
        self.data = data
        self.found: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.data.files)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place not in self.found:
            self.found[place] = pixel_id(self.data.cloud(place))
        return self.found[place]
