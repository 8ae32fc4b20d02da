"""Images in one folder per class, as ImageNet's validation set is usually kept: `root/<wnid>/*.JPEG`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError, did_you_mean
from bench_core.files import read_text

from .crop import CenterCrop, Interpolation
from .data_root import data_path
from .listing import is_hidden, pictures_in
from .pictures import Pictures

IMAGENET = Path(__file__).with_name("imagenet_classes.txt")  # the 1,000 names, in the order of the networks' outputs


class ImageFolder:
    """Images of one folder per class, scaled and cropped to the centre; their order mixes the classes.

    Class names are the folders' names. Where all are ImageNet's (`n01440764`), each has its index there, even if there
    are only a few folders. The ids are those of `Pictures`.

    Args:
        root: The folder; its class folders may be in `val`. By default `BENCH_DATA`.
        side: Height and width of the images in pixels.
        classes: File of all class names, one per line, in the order of the networks' outputs; by default ImageNet's.
        per_class: Number of images of each class, the first by name; by default all.
        resize: Length in pixels to which the shorter side is scaled before the crop. By default 8/7 of `side`, and
            pictures of `side` x `side` pixels, such as saved adversarial images, are not scaled.
        interpolation: How images are scaled.

    Raises:
        UsageError: There are no images, or a folder's class is unknown.
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
        folder_path = data_path(root, "a folder of images, with one folder for each class")
        index = class_index(classes)
        self.class_count = len(index)
        self.crop = CenterCrop(side, max(side, resize or round(side * 8 / 7)), interpolation, keep=resize is None)
        self.shape = self.crop.shape
        files: list[Path] = []
        skipped = 0
        for folder in class_folders(folder_path):
            if folder.name not in index:
                named = f"{classes} does not name the folder {folder.name} {did_you_mean(folder.name, list(index)[:5])}"
                unnamed = f"{folder.name} is no class of ImageNet (try a file of all class names in order)"
                raise UsageError(Fault("data", "classes", named if classes else unnamed))
            listing = pictures_in(folder)
            files += listing.pictures[:per_class]
            skipped += listing.skipped
        if not files:
            raise UsageError(Fault("data", "root", f"no images in the class folders of {folder_path}"))
        self.notes = [f"{skipped} hidden or system files in the class folders are not used"] if skipped else []
        self.pictures = Pictures(sorted(files, key=sort_key), self.crop)
        self.files = self.pictures.files
        self.labels: Sequence[int] = [index[file.parent.name] for file in self.files]

    @property
    def names(self) -> Sequence[str]:
        return self.pictures.names

    @property
    def ids(self) -> Sequence[str]:
        return self.pictures.ids

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pictures.load(indices)


def sort_key(file: Path) -> str:
    """Return the digest of an image's class folder and name, by which images are sorted.

    Attacks get the first images of a dataset, and by name those are all of one class. This order is a
    pseudo-random permutation, the same on every machine.
    """
    return hashlib.sha256(f"{file.parent.name}/{file.name}".encode(errors="surrogateescape")).hexdigest()


def class_folders(root: Path) -> list[Path]:
    """Return the class folders of `root`, or of `root/val` where that exists; hidden folders are no classes."""
    if not root.is_dir():
        return []
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not is_hidden(path.name)]
    return class_folders(root / "val") if "val" in {path.name for path in folders} else folders


def class_index(classes: str) -> dict[str, int]:
    """Return the index of each class in a file of names. Raises UsageError if it cannot be read."""
    path = Path(classes).expanduser() if classes else IMAGENET
    try:
        names = [name.strip() for name in read_text(path).splitlines() if name.strip()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(Fault("data", "classes", f"cannot read {path}: {reason}")) from None
    index = {name: place for place, name in enumerate(names)}
    if len(index) < len(names):
        twice = next(name for place, name in enumerate(names) if index[name] != place)
        raise UsageError(Fault("data", "classes", f"{path} names the class {twice} twice"))
    return index
