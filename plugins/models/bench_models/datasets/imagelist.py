"""Images with a list of their labels, in the form of the NeurIPS 2017 competition's `images.csv`."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError
from bench_core.files import read_text

from .crop import CenterCrop, Interpolation
from .data_root import data_path
from .listing import is_hidden, is_picture
from .pictures import Pictures

ByStem = dict[str, list[Path]]
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
        by_stem = cache(pictures_by_stem)
        self.pictures = Pictures([find_image(folder, row[IMAGE], folder / list, by_stem) for row in rows], self.crop)
        self.files = self.pictures.files
        self.labels: Sequence[int] = [number(row, LABEL, folder / list) - first_class for row in rows]
        targeted = any((row.get(TARGET) or "").strip() for row in rows)  # an empty column is no column
        self.targets = [number(row, TARGET, folder / list) - first_class for row in rows] if targeted else None

    @property
    def names(self) -> Sequence[str]:
        return self.pictures.names

    @property
    def ids(self) -> Sequence[str]:
        return self.pictures.ids

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return self.pictures.load(indices)


def read_list(path: Path) -> list[Mapping[str, str]]:
    """Return the rows of a list. Raises UsageError if it cannot be read, or lacks a column or a value."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restval="")
        columns = list(reader.fieldnames or [])
        rows: list[Mapping[str, str]] = [*reader]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(Fault("data", "list", f"cannot read {path}: {reason}")) from None
    missing = [name for name in (IMAGE, LABEL) if name not in columns]
    if missing:
        found = ", ".join(columns) or "no lines"
        raise UsageError(Fault("data", "list", f"{path}: no column {missing[0]}; found {found}"))
    if not rows:
        raise UsageError(Fault("data", "list", f"{path} lists no images"))
    repeated = [name for name in columns if columns.count(name) > 1]
    if repeated:
        raise UsageError(Fault("data", "list", f"{path} has the column {repeated[0]} twice"))
    longer = [row[IMAGE] for row in rows if None in row]
    if longer:
        message = (
            f"{path}: the row of {longer[0]} has more values than columns (try quotes around a value with a comma)"
        )
        raise UsageError(Fault("data", "list", message))
    return rows


def number(row: Mapping[str, str], column: str, path: Path) -> int:
    """Return an entry of a row as an integer. Raises UsageError that names the list and the image."""
    try:
        return int(row[column])
    except ValueError:
        hint = " (try a class in every row, or no column)" if column == TARGET and not row[column].strip() else ""
        raise UsageError(Fault("data", "list", f'{path}: {column} of {row[IMAGE]} is "{row[column]}"{hint}')) from None


def find_image(folder: Path, name: str, path: Path, by_stem: Callable[[Path], ByStem]) -> Path:
    """Return the file of an image.

    Args:
        folder: Searched together with its subfolder `images`; files outside it are refused.
        name: Name of the file, with or without its suffix.
        path: The list, for the error message.
        by_stem: Lists a folder, see `pictures_by_stem`.

    Raises:
        UsageError: There is no such file, or there are several with different suffixes.
    """
    for base in (folder, folder / "images"):
        whole = base / name
        matching = [whole] if name and whole.is_file() else by_stem(whole.parent).get(whole.name, [])
        inside = [file for file in matching if file.resolve().is_relative_to(folder.resolve())]
        if len(inside) > 1:
            listed = ", ".join(file.name for file in inside)
            message = f"{path} lists the image {name}, but {base} has {listed} (try names with their suffixes)"
            raise UsageError(Fault("data", "list", message))
        if inside:
            return inside[0]
    raise UsageError(Fault("data", "list", f"{path} lists the image {name}, but {folder} has no such file"))


def pictures_by_stem(folder: Path) -> ByStem:
    """Return the pictures of a folder by their names without suffix."""
    found: ByStem = defaultdict(list)
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_picture(file.name) and not is_hidden(file.name):
            found[file.stem].append(file)
    return found
