"""Images with a list of their labels, in the form of the NeurIPS 2017 competition's `images.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from .crop import CenterCrop, Interpolation
from .data_root import data_path
from .pictures import SUFFIXES, Pictures

IMAGE, LABEL, TARGET = "ImageId", "TrueLabel", "TargetClass"


class ImageList:
    """The images that a CSV file lists, scaled and cropped to the centre. The ids are those of `Pictures`.

    The columns are `ImageId` (the name of a file below `root`, with or without its suffix), `TrueLabel` and, for
    targeted attacks, `TargetClass`.

    Args:
        root: Folder of the images. By default `BENCH_DATA`.
        list: Path of the CSV file, relative to `root`.
        side: Height and width of the images in pixels.
        resize: Length in pixels to which the shorter side is scaled before the crop; by default `side`.
        first_class: Number of the first class in the list; 1 in the competition's, where 0 is the background.
        interpolation: How images are scaled.

    Raises:
        UsageError: The list, one of its columns or an image is missing.
    """

    def __init__(
        self,
        root: str = "",
        list: str = "images.csv",
        side: Annotated[int, Gt(0)] = 299,
        resize: Annotated[int, Gt(0)] | None = None,
        first_class: Annotated[int, Ge(0)] = 1,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        folder = data_path(root, "a folder of images with a list of their labels")
        rows = read_list(folder / list)
        self.crop = CenterCrop(side, max(side, resize or side), interpolation)
        self.shape = self.crop.shape
        self.pictures = Pictures([find_image(folder, row[IMAGE], folder / list) for row in rows], self.crop)
        self.files = self.pictures.files
        self.labels: Sequence[int] = [number(row, LABEL, folder / list) - first_class for row in rows]
        targeted = all(row.get(TARGET) for row in rows)
        self.targets = [number(row, TARGET, folder / list) - first_class for row in rows] if targeted else None

    @property
    def ids(self) -> Sequence[str]:
        return self.pictures.ids

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pictures.load(indices)


def read_list(path: Path) -> list[Mapping[str, str]]:
    """Return the rows of a list. Raises UsageError where it cannot be read or lacks a column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
            rows: list[Mapping[str, str]] = [*csv.DictReader(file, restval="")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(Fault("data", "list", f"cannot read {path}: {getattr(error, 'strerror', error)}")) from None
    missing = [name for name in (IMAGE, LABEL) if not rows or name not in rows[0]]
    if missing:
        columns = ", ".join(rows[0]) if rows else "no lines"
        raise UsageError(Fault("data", "list", f"{path}: no column {missing[0]}; found {columns}"))
    return rows


def number(row: Mapping[str, str], column: str, path: Path) -> int:
    """Return an entry of a row as an integer. Raises UsageError that names the list and the image."""
    try:
        return int(row[column])
    except ValueError:
        raise UsageError(Fault("data", "list", f'{path}: {column} of {row[IMAGE]} is "{row[column]}"')) from None


def find_image(folder: Path, name: str, path: Path) -> Path:
    """Return the file of an image.

    Args:
        folder: Searched together with its subfolder `images`; files outside it are refused.
        name: Name of the file, with or without its suffix.
        path: The list, for the error message.

    Raises:
        UsageError: There is no such file.
    """
    for base in (folder, folder / "images"):
        for suffix in ("", *SUFFIXES, ".JPEG"):
            file = base / f"{name}{suffix}"
            if name and file.is_file() and file.resolve().is_relative_to(folder.resolve()):
                return file
    raise UsageError(Fault("data", "list", f"{path} lists the image {name}, but {folder} has no such file"))
