"""ModelNet's meshes (Wu et al., 2015) as point clouds, from its folders `root/<class>/<split>/*.off`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from .surfaces import Floats, as_cloud, spread


def read_off(path: Path) -> Floats:
    """Read the triangles [t, 3, 3] of an OFF file; a face of more corners becomes a fan. Raises ValueError.

    Some of ModelNet40's files have their counts on the first line, right behind the word OFF.
    """
    words = path.read_text(encoding="ascii").replace("OFF", "OFF ", 1).split()
    if not words or words[0] != "OFF":
        raise ValueError("no OFF file")
    try:
        corners, faces = int(words[1]), int(words[2])
        places = np.array(words[4 : 4 + 3 * corners], dtype=np.float64).reshape(corners, 3)
        rest, triangles = np.array(words[4 + 3 * corners :], dtype=np.int64), []
        at = 0
        for _ in range(faces):
            count = int(rest[at])
            face = rest[at + 1 : at + 1 + count]
            triangles += [(face[0], face[k], face[k + 1]) for k in range(1, count - 1)]
            at += 1 + count
        return places[np.array(triangles, dtype=np.int64).reshape(-1, 3)]
    except IndexError:
        raise ValueError("fewer corners or faces than it says") from None


class ModelNet:
    """Clouds of `points` points, spread evenly over each mesh of a split; classes are the folders in sorted order.

    `per_class` takes the first so many files of each. `root` defaults to BENCH_DATA. Raises UsageError where there are
    no meshes, or where one cannot be read.
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
        self.contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files]
        self.ids: Sequence[str] = [
            hashlib.sha256(f"points {points} seed {seed} mesh {content}".encode()).hexdigest()
            for content in self.contents
        ]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return np.stack([self._cloud(index) for index in indices])

    def _cloud(self, index: int) -> NDArray[np.float32]:
        """Make the cloud of a mesh; its points are drawn by the mesh's own content and the seed."""
        draw = np.random.default_rng((self.seed, int(self.contents[index][:16], 16)))
        try:
            return as_cloud(spread(read_off(self.files[index]), self.points, draw))
        except (OSError, ValueError) as error:
            raise UsageError(Fault(str(self.files[index]), "", f"cannot read the mesh: {error}")) from None
