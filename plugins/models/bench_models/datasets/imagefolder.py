"""Images in one folder a class, as ImageNet's validation set is usually kept: `root/<wnid>/*.JPEG`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError, did_you_mean

from .data_root import data_path
from .pictures import SUFFIXES, Frame, Interpolation

IMAGENET = Path(__file__).with_name("imagenet_classes.txt")  # the 1,000 names, in the order of the networks' outputs


class ImageFolder:
    """Images of a folder, scaled so that the shorter side is `resize` (8/7 of `side`), then cropped to the centre.

    Classes are the folders' names. Where each is one of ImageNet's, it has its index there, however few there are; else
    `classes` is needed, a file of all names, one a line, in the order of the networks' outputs. A `root` that has its
    class folders in `val` will do. `per_class` takes the first so many images of each.

    The images come in the order of `place`, which mixes the classes. Raises UsageError where there are no images, or a
    folder's class is not known.
    """

    def __init__(
        self,
        root: str = "",
        side: Annotated[int, Gt(0)] = 224,
        classes: str = "",
        per_class: Annotated[int, Gt(0)] | None = None,
        resize: Annotated[int, Gt(0)] | None = None,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        where = data_path(root, "a folder of images, with one folder for each class")
        index = class_index(classes)
        self.class_count = len(index)
        self.frame = Frame(side, max(side, resize or round(side * 8 / 7)), interpolation)
        self.shape = self.frame.shape
        files: list[Path] = []
        for folder in class_folders(where):
            if folder.name not in index:
                named = f"{classes} does not name the folder {folder.name} {did_you_mean(folder.name, list(index)[:5])}"
                unnamed = f"{folder.name} is no class of ImageNet (would do: a file of all class names in order)"
                raise UsageError(Fault("data", "classes", named if classes else unnamed))
            files += sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:per_class]
        if not files:
            raise UsageError(Fault("data", "root", f"no images in the class folders of {where}"))
        self.files = sorted(files, key=place)
        self.labels: Sequence[int] = [index[file.parent.name] for file in self.files]

    @cached_property
    def ids(self) -> Sequence[str]:
        """The images' digests. Every file is read for them, so only once somebody asks."""
        return self.frame.digests(self.files)

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return np.stack([self.frame.read(self.files[index]) for index in indices])


def place(file: Path) -> str:
    """Say where an image stands: by the digest of its class folder's and its own name.

    The attacks get the first images of a dataset, and by name those are all of one class. This order looks random, and
    is the same on every machine.
    """
    return hashlib.sha256(f"{file.parent.name}/{file.name}".encode(errors="surrogateescape")).hexdigest()


def class_folders(root: Path) -> list[Path]:
    """Give the folders of the classes: those of `root/val` where it is the root of ImageNet as a whole."""
    found = [path for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []
    if {path.name for path in found} & {"val"}:
        return [path for path in sorted((root / "val").iterdir()) if path.is_dir()]
    return found


def class_index(classes: str) -> dict[str, int]:
    """Give the index of each class, from a file of names. Raises UsageError where it cannot be read."""
    try:
        names = (Path(classes).expanduser() if classes else IMAGENET).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(Fault("data", "classes", f"cannot read {classes}: {error.strerror}")) from None
    return {name.strip(): place for place, name in enumerate(filter(str.strip, names))}
