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
from .surfaces import Floats, as_cloud, sample_surface


def read_off(text: str) -> Floats:
    """Return the triangles [t, 3, 3] of an OFF file. Polygons are split into triangles.

    In some files of ModelNet40 the counts follow the word OFF without a space.

    Raises:
        ValueError: The text is not an OFF file, or is incomplete.
    """
    words = text.replace("OFF", "OFF ", 1).split()
    if not words or words[0] != "OFF":
        raise ValueError("not an OFF file")
    try:
        vertex_count, face_count = int(words[1]), int(words[2])
        vertices = np.array(words[4 : 4 + 3 * vertex_count], dtype=np.float64).reshape(vertex_count, 3)
        faces = np.array(words[4 + 3 * vertex_count :], dtype=np.int64)
        return vertices[triangulate(faces, face_count)]
    except IndexError:
        raise ValueError("fewer vertices or faces than its header states") from None


def triangulate(faces: NDArray[np.int64], face_count: int) -> NDArray[np.int64]:
    """Split the faces of an OFF file into triangles; a polygon becomes a fan about its first vertex.

    Args:
        faces: For each face its number of vertices, then their indices, all in one row.
        face_count: Number of faces.

    Returns:
        Indices of vertices [t, 3].

    Raises:
        IndexError: There are fewer faces than `face_count`.
    """
    if len(faces) == 4 * face_count and (faces[::4] == 3).all():
        return faces.reshape(face_count, 4)[:, 1:]
    triangles, start = [], 0
    for _ in range(face_count):
        count = int(faces[start])
        face = faces[start + 1 : start + 1 + count]
        triangles += [(face[0], face[k], face[k + 1]) for k in range(1, count - 1)]
        start += 1 + count
    return np.array(triangles, dtype=np.int64).reshape(-1, 3)


class ModelNet:
    """Point clouds drawn uniformly from the surfaces of ModelNet's meshes; classes are the folders in sorted order.

    An id is the digest of a cloud's coordinates, so computing the id creates the cloud. Clouds are created when they
    are first needed and then kept in memory (12 bytes per point).

    Args:
        root: Folder of the class folders; by default the environment variable `BENCH_DATA`.
        split: Subfolder of each class folder.
        points: Number of points in a cloud.
        per_class: Number of meshes of each class, taken in the order of their file names; by default all.
        seed: Seed of the points. The points on a mesh also depend on the content of its file.

    Raises:
        UsageError: There are no meshes. `load` and `ids` raise it if a mesh cannot be read.
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
        classes = {path.parent.parent.name for path in Path(root).glob(f"*/{split}/*.off")}
        if not classes:
            raise UsageError(Fault("data", "root", f"no meshes {root}/<class>/{split}/*.off"))
        self.classes = tuple(sorted(classes))
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
        """Return the clouds at these indices, [n, 3, points, 1] in [0, 1]."""
        return np.stack([self.cloud(index) for index in indices])

    def cloud(self, index: int) -> NDArray[np.float32]:
        """Return the cloud [3, points, 1] of a mesh in [0, 1]."""
        if index not in self.clouds:
            file = self.files[index]
            try:
                content = file.read_bytes()
                rng = np.random.default_rng((self.seed, int(hashlib.sha256(content).hexdigest()[:16], 16)))
                self.clouds[index] = as_cloud(sample_surface(read_off(content.decode("ascii")), self.points, rng))
            except (OSError, ValueError) as error:
                raise UsageError(Fault(str(file), "", f"cannot read the mesh: {error}")) from None
        return self.clouds[index]


class CloudIds(Sequence[str]):
    """The ids of a dataset's clouds, computed when they are first needed: a worker needs only those of its jobs."""

    def __init__(self, data: ModelNet) -> None:
        self.data = data
        self.computed: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.data.files)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        if position not in self.computed:
            self.computed[position] = pixel_id(self.data.cloud(position))
        return self.computed[position]
