"""Writes images and lists, equal ones with equal bytes, and never into a folder that has something else."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError
from ..files import safe_name
from ..store import write_atomically

MARK = "export.json"


class Target:
    """The folder of an export. It is new, or has an earlier part of the same export, which goes on.

    Args:
        root: The folder.
        mark: The content of `export.json`, which states what is exported.

    Raises:
        UsageError: The folder has something else.
    """

    def __init__(self, root: Path, mark: str) -> None:
        self.root = root
        if root.exists() and not root.is_dir():
            raise UsageError(Fault("--to", str(root), "is a file (try a new folder)"))
        path = root / MARK
        there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
        if there != mark and root.is_dir() and any(root.iterdir()):
            what = "has another export" if there is not None else "is not empty"
            raise UsageError(Fault("--to", str(root), f"{what} (try a new folder)"))
        self.mark = mark

    def check_writable(self) -> None:
        """Raise UsageError if files cannot be written into the folder or, if it is new, into the one above it."""
        nearest = next(path for path in (self.root, *self.root.absolute().parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            message = f"cannot write there: {error.strerror or error}"
            raise UsageError(Fault("--to", str(self.root), message)) from None

    def begin(self) -> None:
        """Create the folder, so that an export that is stopped can go on in it."""
        self.write(MARK, self.mark.encode())

    def write(self, name: str, content: bytes) -> None:
        """Write a file unless it is there."""
        path = self.root / name
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)


def file_names(names: Sequence[str]) -> list[str]:
    """Return safe and different names for files, also where upper and lower case are the same.

    Names that would be the same get their position before them.
    """
    safe = [safe_name(name) for name in names]
    counts = Counter(name.casefold() for name in safe)
    return [name if counts[name.casefold()] == 1 else f"{place:05d}-{name}"[:110] for place, name in enumerate(safe)]


def png_bytes(levels: NDArray[np.uint8]) -> bytes:
    """Encode levels [c, h, w] of one or three channels as a PNG file, without any loss."""
    from PIL import Image

    out = io.BytesIO()
    pixels = levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "png", optimize=False, compress_level=6)
    return out.getvalue()


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an .npz file of arrays. Equal arrays give equal bytes."""
    out = io.BytesIO()
    np.savez_compressed(out, **dict(arrays))  # type: ignore[arg-type]
    return out.getvalue()


def csv_bytes(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Return a CSV file in UTF-8."""
    import csv

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()
