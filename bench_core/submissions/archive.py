"""A zip file of a stranger. Its list of files is read and checked before any of them is opened."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from ..errors import Fault, UsageError, stop_at_faults

LARGEST_FILE = 2**31  # bytes of the zip itself
LARGEST_LIST = 4 * 2**20  # bytes of its list of files
END, END64 = b"PK\x05\x06", b"PK\x06\x07"
END_SIZE, END64_SIZE = 22, 20
LONGEST_COMMENT = 65_535
LONGEST_NAME = 255
MOST_SHOWN = 5
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Member:
    """A file in a zip: the parts of its path, its packed size, and how `zipfile` identifies it."""

    parts: tuple[str, ...]
    packed: int
    info: zipfile.ZipInfo


class Archive:
    """An open zip file whose names are safe.

    Args:
        path: The file.
        most: The largest number of files.

    Raises:
        UsageError: It is no zip, or a file in it has a path out of it, is a link, is encrypted, or is there twice.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self._stop_at_long_list()
        with self._readable():
            self._zip = zipfile.ZipFile(path)
        try:
            infos = self._zip.infolist()
            if len(infos) > most:
                raise UsageError(Fault(str(path), "", f"has more than {most:,} files"))
            self._check(infos)
        except BaseException:
            self._zip.close()
            raise
        self.files = tuple(
            Member(tuple(info.orig_filename.split("/")), info.compress_size, info)
            for info in infos
            if not info.is_dir()
        )

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def top(self, name: str) -> tuple[str, ...]:
        """Return the parts of the folder that has the file `name`; that of the shortest path if several have it."""
        folders = sorted((entry.parts[:-1] for entry in self.files if entry.parts[-1] == name), key=len)
        if not folders:
            raise UsageError(Fault(str(self.path), name, "is missing"))
        if len(folders) > 1 and len(folders[1]) == len(folders[0]):
            raise UsageError(Fault(str(self.path), name, "is there several times (try a zip of one run's folder)"))
        return folders[0]

    @contextmanager
    def open(self, member: Member) -> Iterator[BinaryIO]:
        """Open a file. Raises UsageError while it is read, if it is damaged."""
        with self._readable(), self._zip.open(member.info) as file:
            yield cast(BinaryIO, file)

    def _stop_at_long_list(self) -> None:
        """Raise UsageError if the list of files is so long that reading it would take much memory."""
        size = self.path.stat().st_size
        if size > LARGEST_FILE:
            raise UsageError(Fault(str(self.path), "", f"is larger than {LARGEST_FILE >> 20} MiB"))
        with self.path.open("rb") as file:
            file.seek(max(0, size - END_SIZE - LONGEST_COMMENT - END64_SIZE))
            tail = file.read()
        at = len(tail) - END_SIZE if tail[-END_SIZE:-18] == END and tail[-2:] == b"\0\0" else tail.rfind(END)
        if at < 0 or len(tail) < at + END_SIZE:
            raise UsageError(Fault(str(self.path), "", "neither a folder nor a zip file"))
        listed = int.from_bytes(tail[at + 12 : at + 16], "little")
        if listed > LARGEST_LIST or tail[max(0, at - END64_SIZE) : at].startswith(END64):
            raise UsageError(Fault(str(self.path), "", "has a list of too many files"))

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        faults, seen = list[Fault](), set[str]()
        for info in infos:
            name = info.orig_filename
            message = wrong_path(name.removesuffix("/")) or _wrong_entry(info)
            if not message and name.casefold() in seen:
                message = "is there twice"
            seen.add(name.casefold())
            if message:
                faults.append(Fault(str(self.path), name[:120], message))
        if len(faults) > MOST_SHOWN:
            more = Fault(str(self.path), "", f"{len(faults) - MOST_SHOWN} more of its files are wrong")
            faults = [*faults[:MOST_SHOWN], more]
        stop_at_faults(faults)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn whatever `zipfile` raises for a damaged file into a UsageError."""
        try:
            yield
        except UsageError:
            raise
        except Exception as error:
            message = f"cannot unzip: {str(error)[:200] or type(error).__name__}"
            raise UsageError(Fault(str(self.path), "", message)) from None


def wrong_path(name: str) -> str:
    """Return what is wrong with the path of a file in a zip; "" if it stays below the folder and can be printed."""
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ":" in parts[0] or ".." in parts:
        return "has a path that leads out of the folder"
    if not all(parts) or "." in parts or not name.isprintable() or len(name) > LONGEST_NAME:
        return "has a path that no run has"
    return ""


def _wrong_entry(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is not a plain file"
    if info.flag_bits & 1:
        return "is encrypted"
    return "" if info.compress_type in METHODS else "is packed by a method that is not accepted (try deflate)"
