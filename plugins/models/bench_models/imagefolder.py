"""Images in one folder a class, as ImageNet's validation set is usually kept: `root/<wnid>/*.JPEG`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError, did_you_mean

from .pictures import SUFFIXES, Frame, Interpolation
from .sources import data_path

IMAGENET = Path(__file__).with_name("imagenet_classes.txt")  # the 1,000 names, in the order of the networks' outputs


class ImageFolder:
    """Images of a folder, scaled so that the shorter side is `resize` (8/7 of `side`), then cropped to the centre.

    Classes are the folders' names. Where each is one of ImageNet's, it has its index there, however few there are; else
    `classes` is needed, a file of all names, one a line, in the order of the networks' outputs. A `root` that has its
    class folders in `val` will do. `per_class` takes the first so many images of each. Raises UsageError where there
    are no images, or a folder's class is not known.
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
        folders = class_folders(data_path(root, "a folder of images, with one folder for each class"))
        index = class_index(classes)
        self.frame = Frame(side, max(side, resize or round(side * 8 / 7)), interpolation)
        self.shape = self.frame.shape
        self.files: list[Path] = []
        labels: list[int] = []
        for folder in folders:
            if folder.name not in index:
                named = f"{classes} does not name the folder {folder.name} {did_you_mean(folder.name, list(index)[:5])}"
                unnamed = f"{folder.name} is no class of ImageNet (would do: a file of all class names in order)"
                raise UsageError(Fault("data", "classes", named if classes else unnamed))
            files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)[:per_class]
            self.files += files
            labels += [index[folder.name]] * len(files)
        if not self.files:
            raise UsageError(Fault("data", "root", f"no images in the class folders of {root}"))
        self.labels: Sequence[int] = labels
        self.ids: Sequence[str] = self.frame.digests(self.files)

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return np.stack([self.frame.read(self.files[index]) for index in indices])


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
