"""Images with a list of their labels, in the form of the NeurIPS 2017 competition's `images.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from bench_core.errors import Fault, UsageError

from .data_root import data_path
from .pictures import SUFFIXES, Frame, Interpolation

IMAGE, LABEL, TARGET = "ImageId", "TrueLabel", "TargetClass"


class ImageList:
    """The images that a CSV file lists: `ImageId` (a file's name below `root`, with its suffix or without it),
    `TrueLabel`, and, for targeted attacks, `TargetClass`.

    The list is `root/images.csv`, or `list`, a path from `root`. Its classes begin with `first_class`: in the
    competition's list with 1, 0 being the background. Images are scaled so that the shorter side is `resize` (`side`),
    then cropped to the centre. Raises UsageError where something is missing.
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
        self.frame = Frame(side, max(side, resize or side), interpolation)
        self.shape = self.frame.shape
        self.files = [find_image(folder, row[IMAGE], folder / list) for row in rows]
        self.labels: Sequence[int] = [number(row, LABEL, folder / list) - first_class for row in rows]
        aimed = all(row.get(TARGET) for row in rows)
        self.targets = [number(row, TARGET, folder / list) - first_class for row in rows] if aimed else None

    @cached_property
    def ids(self) -> Sequence[str]:
        """The images' digests. Every file is read for them, so only once somebody asks."""
        return self.frame.digests(self.files)

    def load(self, indices: Sequence[int]) -> NDArray[np.float32]:
        return np.stack([self.frame.read(self.files[index]) for index in indices])


def read_list(path: Path) -> list[Mapping[str, str]]:
    """Give the lines of a list. Raises UsageError where it cannot be read, or lacks a column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets begin theirs with a mark
            rows: list[Mapping[str, str]] = [*csv.DictReader(file, restval="")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(Fault("data", "list", f"cannot read {path}: {getattr(error, 'strerror', error)}")) from None
    lacking = [name for name in (IMAGE, LABEL) if not rows or name not in rows[0]]
    if lacking:
        found = ", ".join(rows[0]) if rows else "no lines"
        raise UsageError(Fault("data", "list", f"{path}: no column {lacking[0]}; found {found}"))
    return rows


def number(row: Mapping[str, str], column: str, path: Path) -> int:
    try:
        return int(row[column])
    except ValueError:
        raise UsageError(Fault("data", "list", f'{path}: {column} of {row[IMAGE]} is "{row[column]}"')) from None


def find_image(folder: Path, name: str, path: Path) -> Path:
    """Find the file of an image, in the folder or in `images` in it; nothing outside the folder is read."""
    for base in (folder, folder / "images"):
        for suffix in ("", *SUFFIXES, ".JPEG"):
            file = base / f"{name}{suffix}"
            if name and file.is_file() and file.resolve().is_relative_to(folder.resolve()):
                return file
    raise UsageError(Fault("data", "list", f"{path} lists the image {name}, but {folder} has none of that name"))
