"""Images in one folder a class, as ImageNet's validation set is usually kept: `root/<wnid>/*.JPEG`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

SUFFIXES = (".jpeg", ".jpg", ".png")


class ImageFolder:
    """Images of a folder, resized so that the shorter side is 8/7 of `side`, then cropped to the centre.

    Classes are the folders' names in sorted order. `classes`, a file of all names, one a line in the order of the
    network's outputs, is needed where some classes have no folder: a subset must keep its true class indices.
    `per_class` takes the first so many images of each. Raises UsageError where there are no images.
    """

    def __init__(
        self, root: str = "", side: Annotated[int, Gt(0)] = 224, classes: str = "", per_class: int | None = None
    ) -> None:
        root = root or os.environ.get("BENCH_DATA", "")
        if not root:
            raise UsageError(Fault("data", "root", "no folder of images is given (--data DIR, or BENCH_DATA)"))
        if not Path(root).is_dir():
            raise UsageError(Fault("data", "root", f"no such folder: {root}"))
        folders = sorted(path for path in Path(root).iterdir() if path.is_dir())
        names = Path(classes).read_text().split() if classes else [path.name for path in folders]
        if not classes and len(names) != 1000:
            found = f"found {len(names)} class folders, not 1000: which class is which?"
            raise UsageError(Fault("data", "classes", f"{found} (give a file of all class names in order)"))
        index = {name: place for place, name in enumerate(names)}
        self.side, self.shape = side, (3, side, side)
        self.files: list[Path] = []
        self.labels: Sequence[int] = []
        for folder in folders:
            if folder.name not in index:
                raise UsageError(Fault("data", "classes", f"{classes} does not name the folder {folder.name}"))
            files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:per_class]
            self.files += files
            self.labels = [*self.labels, *[index[folder.name]] * len(files)]
        if not self.files:
            raise UsageError(Fault("data", "root", f"no images in the folders of {root}"))
        self.ids: Sequence[str] = [self._digest(path) for path in self.files]

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return np.stack([self._read(self.files[index]) for index in indices])

    def _digest(self, path: Path) -> str:
        """Digest the file and the side, which together settle the pixels."""
        return hashlib.sha256(f"side {self.side}\n".encode() + path.read_bytes()).hexdigest()

    def _read(self, path: Path) -> NDArray[np.float32]:
        from PIL import Image

        with Image.open(path) as image:
            picture = image.convert("RGB")
        scale = round(self.side * 8 / 7) / min(picture.size)
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR
        )
        left, top = (picture.width - self.side) // 2, (picture.height - self.side) // 2
        picture = picture.crop((left, top, left + self.side, top + self.side))
        return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
