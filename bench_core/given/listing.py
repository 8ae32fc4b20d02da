"""Lists the images of a folder or a file, in the layouts of bench, of the NeurIPS 2017 set and of other libraries."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Fault, UsageError, stop_at_faults
from ..files import read_text
from .arrays import SUFFIXES, Arrays, find_images, read_arrays
from .places import Place

NAMES = ("filename", "ImageId", "file", "id", "name", "image")  # columns with the name of a file
LABELS = {"label": 0, "TrueLabel": 1}  # columns with a class, and the number of the first class in them
TARGETS = {"targeted_label": 0, "target_class": 0, "TargetClass": 1}
LISTS = ("labels.csv", "images.csv")
NAMED = 3  # files that one line names, and mistakes of one kind that have a line
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclass(frozen=True)
class Row:
    """One image of a listing, with all that the listing states about it.

    Attributes:
        place: Where it is.
        name: The name of its file without the suffix; "" if it has none.
        clean: The SHA-256 by which the dataset identifies its clean image; "" if unknown.
        label: Its class; None if unknown.
        target: The class that the attack aimed at; None if unknown.
        digest: The SHA-256 of its pixels (`places.image_digest`); "" if unknown.
    """

    place: Place
    name: str = ""
    clean: str = ""
    label: int | None = None
    target: int | None = None
    digest: str = ""


@dataclass(frozen=True)
class Listing:
    """The images of a folder or a file.

    Attributes:
        root: The folder or the file.
        rows: The images.
        listed: The list that states their names and classes; "" if there is none.
        notes: What a reader must know of it.
    """

    root: Path
    rows: tuple[Row, ...]
    listed: str = ""
    notes: tuple[str, ...] = ()


def list_images(root: Path, shape: tuple[int, int, int], where: Mapping[str, str], array: str | None) -> Listing:
    """List the images of a folder, or of a file of arrays.

    Args:
        root: The folder or the file.
        shape: The shape (c, h, w) of the dataset's images.
        where: Values of columns of the list; only the rows with these are taken.
        array: The name of the array in a file of arrays.

    Raises:
        UsageError: There are no images, or the list is wrong.
    """
    if root.is_file() and root.suffix in SUFFIXES:
        stop_at_faults([Fault(str(root), "", "has no list, so that no rows of it can be chosen")] if where else [])
        return Listing(root, tuple(_rows_of_arrays(root, shape, array)))
    if not root.is_dir():
        known = ", ".join(SUFFIXES)
        reason = f"no image folder, and no file of arrays ({known})" if root.exists() else "no such file or folder"
        raise UsageError(Fault(str(root), "", reason))
    table = find_list(root)
    if table is not None:
        rows = [row for row in read_list(table) if all(row.get(name) == value for name, value in where.items())]
        stop_at_faults([] if rows else [Fault(str(table), "", "lists no images")])
        return Listing(root, tuple(_listed(rows, root, table)), table.name)
    return _all_pictures(root)


def find_list(root: Path) -> Path | None:
    """Return the list of a folder's images: `labels.csv`, `images.csv`, or its only CSV file. Raises UsageError."""
    found = next((root / name for name in LISTS if (root / name).is_file()), None)
    others = sorted(path for path in root.glob("*.csv") if path.is_file())
    if found is None and len(others) > 1:
        names = ", ".join(path.name for path in others[:3])
        raise UsageError(
            Fault(str(root), "", f"has several lists: {names} (try the name labels.csv for the right one)")
        )
    return found or next(iter(others), None)


def read_list(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file. Raises UsageError if it cannot be read, or its rows do not fit its columns."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restval="")
        columns, rows = list(reader.fieldnames or []), [*reader]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(Fault(str(path), "", f"cannot read: {reason}")) from None
    repeated = [name for name in columns if columns.count(name) > 1]
    if repeated:
        raise UsageError(Fault(str(path), repeated[0], "found the column twice"))
    if any(None in row for row in rows):
        raise UsageError(Fault(str(path), "", "a row has more values than there are columns"))
    return [{name: value.strip() for name, value in row.items()} for row in rows]


def _listed(rows: Sequence[Mapping[str, str]], root: Path, table: Path) -> Iterator[Row]:
    """Yield the rows of a list. Raises UsageError for a value that is no class, or a file that is missing."""
    column = next((name for name in NAMES if name in rows[0]), None)
    if column is None:
        raise UsageError(Fault(str(table), "", f"no column with names; found {', '.join(rows[0])} (try filename)"))
    faults: list[Fault] = []
    for row in rows:
        file, where = row[column], f"{table}"
        found = _find_file(root, row.get("folder", ""), file)
        if not found:
            faults.append(
                Fault(where, "", f"lists {file[:200] or 'an image without a name'}, which {root} does not have")
            )
            continue
        numbers: dict[str, int | None] = {}
        for kind, columns in (("label", LABELS), ("target", TARGETS)):
            try:
                numbers[kind] = _class(row, columns)
            except ValueError as error:
                faults.append(Fault(where, file, str(error)))
        number = row.get("row", "")
        if number and not is_row(number):
            faults.append(Fault(where, file, f'row is "{number[:40]}", which is no row of a file'))
            continue
        place = Place(found, "images", int(number)) if number else Place(found)
        yield Row(
            place, Path(found).stem, row.get("clean_sha256", ""), numbers.get("label"), numbers.get("target"),
            row.get("sha256", ""),
        )  # fmt: skip
    stop_at_first_faults(faults, str(table))


def stop_at_first_faults(faults: Sequence[Fault], where: str) -> None:
    """Raise UsageError with the first faults and the number of the others, if there are any."""
    others = len(faults) - NAMED
    more = [Fault(where, "", f"{others} more such mistake{'s' * (others > 1)}")] if others > 0 else []
    stop_at_faults([*faults[:NAMED], *more])


def is_row(text: str) -> bool:
    """Return whether a text is a number that a row can have."""
    return text.isdecimal() and len(text) < 10


def _class(row: Mapping[str, str], columns: Mapping[str, int]) -> int | None:
    """Return the class in one of some columns, counted from 0; None if there is none. Raises ValueError."""
    for name, first in columns.items():
        if row.get(name):
            try:
                return int(row[name]) - first
            except ValueError:
                raise ValueError(f'{name} is "{row[name]}", which is no number of a class') from None
    return None


def _find_file(root: Path, folder: str, name: str) -> str:
    """Return the path of a listed image relative to the folder; "" if there is none inside it."""
    inside = root.resolve()
    for base in dict.fromkeys([folder, "", "images"]):
        for candidate in (name, f"{name}.png"):
            path = root / base / candidate
            with contextlib.suppress(OSError):  # as of a name that is too long
                if name and path.is_file() and path.resolve().is_relative_to(inside):
                    lexical = path.is_relative_to(root)  # not if an absolute name goes around a link to the folder
                    return (path.relative_to(root) if lexical else path.resolve().relative_to(inside)).as_posix()
        if folder:
            break
    return ""


def _all_pictures(root: Path) -> Listing:
    """List all pictures of a folder without a list. Raises UsageError if there are none."""
    names = sorted(path.name for path in root.iterdir() if path.is_file() and not path.name.startswith("."))
    pictures = [name for name in names if Path(name).suffix.lower() in PICTURES]
    if not pictures:
        inner = [path.name for path in sorted(root.iterdir()) if path.is_dir()]
        hint = f" (try one of its folders: {', '.join(inner[:3])})" if inner else ""
        raise UsageError(Fault(str(root), "", f"has no PNG files{hint}"))
    others = len(names) - len(pictures)
    notes = (f"{others} file{'s' * (others > 1)} without a picture not used",) if others else ()
    return Listing(root, tuple(Row(Place(name), Path(name).stem) for name in pictures), "", notes)


def _rows_of_arrays(path: Path, shape: tuple[int, int, int], array: str | None) -> Iterator[Row]:
    """Yield the rows of the images in a file of arrays, with its arrays `ids`, `names`, `labels` and `targets`."""
    arrays = read_arrays(path)
    name, images = find_images(arrays, path, array, shape)
    count = len(images)
    texts, classes = {}, {}
    for kind in ("ids", "names"):
        texts[kind] = [str(value) for value in _beside(arrays, kind, count, path)]
    for kind in ("labels", "targets"):
        classes[kind] = [int(value) for value in _beside(arrays, kind, count, path, "iu")]
    for row in range(count):

        def at(values: list[Any], row: int = row) -> Any:
            return values[row] if values else None

        yield Row(
            Place("", name, row), at(texts["names"]) or "", at(texts["ids"]) or "", at(classes["labels"]),
            at(classes["targets"]),
        )  # fmt: skip


def _beside(arrays: Arrays, name: str, count: int, path: Path, kinds: str = "US") -> list[Any]:
    """Return the values of an array beside the images, none if there is none of such a type. Raises UsageError."""
    values = arrays.get(name)
    if values is None or values.dtype.kind not in kinds:
        return []
    if values.shape != (count,):
        raise UsageError(Fault(str(path), name, f"found the shape {values.shape} for {count} images"))
    return list(values)
