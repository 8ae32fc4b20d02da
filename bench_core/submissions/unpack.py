"""Opens a submission, the folder of a run or a zip of it, as hostile input.

Only the files that bench reads are copied, under names of bench's own, to a temporary folder. So nothing is written
outside it, whatever the names in the submission are.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..errors import Fault, UsageError, stop_at_faults
from ..files import safe_name
from ..runs.folder import OTHER_RUNS_FILE, RECORD_FILE, ROWS_FILE, SCORES_FILE
from .archive import Archive

MIB = 2**20
LARGEST = {RECORD_FILE: 64 * MIB, ROWS_FILE: 1024 * MIB, SCORES_FILE: 256 * MIB}
OPTIONAL = {OTHER_RUNS_FILE: 256 * MIB}  # of runs whose optimality counts other runs
PUBLISHED, LARGEST_PUBLISHED, MOST_PUBLISHED = "published", 16 * MIB, 100
MOST_FILES = 10_000
CHUNK = MIB


@dataclass(frozen=True)
class Unpacked:
    """An opened submission.

    Attributes:
        name: The path as the user has given it.
        folder: A temporary folder with its files.
        digest: The SHA-256 of the zip file, or of the files of the folder.
    """

    name: str
    folder: Path
    digest: str


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Copy the files of a submission to a temporary folder, which is removed at the end.

    Raises:
        UsageError: with a fault for each thing that is wrong with it: paths out of the folder, links, sizes, damage.
    """
    if not path.exists():
        raise UsageError(Fault(str(path), "", "there is no such file or folder"))
    with tempfile.TemporaryDirectory(prefix="bench-submission-") as temporary:
        folder = Path(temporary)
        found = _copy_folder(path, folder) if path.is_dir() else _copy_zip(path, folder)
        yield Unpacked(str(path), folder, found)


def wanted_file(parts: tuple[str, ...]) -> tuple[str, int] | None:
    """Return under which name a file of a run is copied, and its largest size; None if bench does not read it.

    Args:
        parts: The parts of its path below the run's folder.
    """
    sizes = LARGEST | OPTIONAL
    if len(parts) == 1 and parts[0] in sizes:
        return parts[0], sizes[parts[0]]
    if len(parts) == 2 and parts[0] == PUBLISHED and parts[1].endswith(".csv") and safe_name(parts[1]) == parts[1]:
        return f"{PUBLISHED}/{parts[1]}", LARGEST_PUBLISHED
    return None


def _copy_zip(path: Path, folder: Path) -> str:
    with Archive(path, MOST_FILES) as archive:
        top = archive.top(RECORD_FILE)
        files = [
            (entry, wanted_file(entry.parts[len(top) :])) for entry in archive.files if entry.parts[: len(top)] == top
        ]
        chosen = [(entry, *wanted) for entry, wanted in files if wanted]
        _stop_without(str(path), [name for _, name, _ in chosen])
        for entry, name, most in chosen:
            with archive.open(entry) as source:
                _copy(source, folder / name, most, Fault(str(path), name, ""), entry.packed)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_folder(path: Path, folder: Path) -> str:
    state, names, faults = hashlib.sha256(), list[str](), list[Fault]()
    for count, (file, mode) in enumerate(_walk(path)):
        relative = file.relative_to(path)
        if count >= MOST_FILES:
            raise UsageError(Fault(str(path), "", f"has more than {MOST_FILES:,} files"))
        if not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "not a plain file"
            faults.append(Fault(str(path), _shown(str(relative)), f"is {kind}"))
            continue
        wanted = wanted_file(relative.parts)
        if wanted:
            names.append(wanted[0])
            with os.fdopen(os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as source:
                content = _copy(source, folder / wanted[0], wanted[1], Fault(str(path), wanted[0], ""))
            state.update(f"{wanted[0]} {content}\n".encode())
    stop_at_faults(faults)
    _stop_without(str(path), names)
    return state.hexdigest()


def _walk(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield all entries below a folder that are no folders, with their modes, in the order of their names."""
    waiting = [folder]
    while waiting:
        below = list[Path]()
        for entry in sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name):
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                below.append(Path(entry.path))
            else:
                yield Path(entry.path), mode
        waiting += reversed(below)


def _stop_without(where: str, names: list[str]) -> None:
    """Raise UsageError if a file that a run has is missing, or there are too many."""
    faults = [Fault(where, name, "is missing") for name in LARGEST if name not in names]
    if len(names) > len(LARGEST | OPTIONAL) + MOST_PUBLISHED:
        faults.append(Fault(where, PUBLISHED, f"has more than {MOST_PUBLISHED} files"))
    stop_at_faults(faults)


MOST_EXPANSION = 200  # of a packed file that is larger than SMALL; a run's rows compress to a tenth, mostly
SMALL = 64 * MIB


def _copy(source: BinaryIO, to: Path, most: int, fault: Fault, packed: int | None = None) -> str:
    """Copy a file, and return its digest. Raises UsageError as soon as it is too large, whatever size it states."""
    to.parent.mkdir(exist_ok=True)
    state, size = hashlib.sha256(), 0
    with to.open("xb") as target:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > most:
                raise UsageError(Fault(fault.where, fault.key, f"is larger than {most // MIB} MiB"))
            if packed is not None and size > max(SMALL, MOST_EXPANSION * packed):
                message = f"expands to more than {MOST_EXPANSION} times its packed size, as a zip bomb does"
                raise UsageError(Fault(fault.where, fault.key, message))
            state.update(chunk)
            target.write(chunk)
    return state.hexdigest()


def _shown(name: str) -> str:
    """Cut a name that is too long for a line."""
    return str(PurePosixPath(name))[:120]
