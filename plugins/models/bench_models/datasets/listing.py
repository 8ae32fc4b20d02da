"""Lists the pictures of a folder: no file is left out without a word."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench_core.errors import Fault, UsageError

SUFFIXES = (
    ".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2",
    ".ppm", ".pgm", ".pbm",
)  # fmt: skip
SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found"}
NAMED = 3  # files that an error names


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder in the order of their names, and the number of hidden and system files in it."""

    pictures: list[Path]
    skipped: int


def is_hidden(name: str) -> bool:
    """Return whether a file or folder belongs to the system: `.DS_Store`, `._0.JPEG` of macOS, `Thumbs.db`, ..."""
    return name.startswith(".") or name.lower() in SYSTEM


def is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (faster than Path for 50,000 names)


def pictures_in(folder: Path) -> Listing:
    """List the pictures of a folder. Raises UsageError for anything else in it that is not hidden."""
    names = sorted(entry.name for entry in os.scandir(folder))
    shown = [name for name in names if not is_hidden(name)]
    others = [name for name in shown if not is_picture(name) or (folder / name).is_dir()]
    if others:
        listed = ", ".join([*others[:NAMED], *["..."] * (len(others) > NAMED)])
        known = f"pictures end with {', '.join(SUFFIXES)}"
        count = "1 entry that is no picture" if len(others) == 1 else f"{len(others)} entries that are no pictures"
        raise UsageError(Fault("data", "root", f"{folder} has {count}: {listed} (remove or convert them; {known})"))
    return Listing([folder / name for name in shown], len(names) - len(shown))
