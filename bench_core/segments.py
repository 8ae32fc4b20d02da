"""Segments: files in which the store keeps the bundles of many jobs.

Jobs that are computed together end together, and one file is flushed in the time that each of theirs would take. A
segment is 8 bytes with the length of its index, the index, and the bundles. The index is JSON with the place and the
SHA-256 of each job's bundle. The file is named by the SHA-256 of the index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

SUFFIX = ".segment"
LENGTH = 8  # bytes
ADDRESS = re.compile("[0-9a-f]{64}")  # a folder is made of it, so a forged one must not lead out of the store
# a file system may give two changes that follow so closely the same time, so that the second one would not be seen
SAME_TIME_NS = 20 * 10**6
SAME_TIME_OF_WHOLE_SECONDS_NS = 2020 * 10**6  # some count seconds, or every other second


@dataclass(frozen=True, slots=True)
class Bundle:
    """Where a bundle is: a whole file, or a part of a segment.

    Attributes:
        path: The file.
        digest: The SHA-256 of the bundle when it was written.
        start: The first byte.
        size: The number of bytes; None up to the end.
    """

    path: Path
    digest: str
    start: int = 0
    size: int | None = None

    @property
    def in_segment(self) -> bool:
        return self.size is not None

    def read(self, limit: int | None = None) -> bytes:
        """Return the bytes of the bundle, or the first ones; fewer if the file was cut off. Raises OSError."""
        with self.path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            start = min(self.start, end)
            file.seek(start)
            return file.read(min(size for size in (end - start, self.size, limit) if size is not None))


def encode(bundles: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name and the content of the segment with the bundles of some addresses."""
    starts = accumulate(map(len, bundles.values()), initial=0)
    index = json.dumps(
        {
            address: [start, len(bundle), hashlib.sha256(bundle).hexdigest()]
            for start, (address, bundle) in zip(starts, bundles.items(), strict=False)
        }
    ).encode()
    name = f"{hashlib.sha256(index).hexdigest()}{SUFFIX}"
    return name, b"".join([len(index).to_bytes(LENGTH, "little"), index, *bundles.values()])


def read_index(path: Path) -> dict[str, Bundle]:
    """Return the bundles of a segment by address. Raises OSError, and ValueError if the index is damaged."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(LENGTH), "little")
        if size > os.fstat(file.fileno()).st_size:
            raise ValueError("the index is longer than the file")
        index = file.read(size)
    if hashlib.sha256(index).hexdigest() != path.stem:
        raise ValueError("the index has another digest")
    found = {}
    try:
        for address, (start, length, digest) in json.loads(index).items():
            if not ADDRESS.fullmatch(address):
                raise ValueError("an address is no SHA-256")
            if not (isinstance(start, int) and isinstance(length, int) and min(start, length) >= 0):
                raise ValueError("a place is no number")
            found[address] = Bundle(path, digest, LENGTH + size + start, length)
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"no index of a segment: {error}") from error
    return found


class SegmentIndex:
    """The bundles in the segments of a folder. It sees what other processes write. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bundles: dict[str, list[Bundle]] = defaultdict(list)
        self._known: set[str] = set()
        self._listed_at: int | None = None  # the folder's time when all its files were known
        self._lock = threading.Lock()

    def find(self, address: str) -> list[Bundle]:
        """Return the bundles of a job. Raises OSError, for example if a segment may not be read."""
        with self._lock:
            self._refresh()
            return list(self._bundles.get(address, ()))

    def _refresh(self) -> None:
        try:
            changed = os.stat(self.folder).st_mtime_ns  # noqa: PTH116 (a third of the time of Path.stat)
            if changed == self._listed_at:
                return
            now = time.time_ns()
            names = {name for name in os.listdir(self.folder) if name.endswith(SUFFIX)}  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            names, changed, now = set(), 0, 0
        if gone := self._known - names:
            self._known -= gone
            for address, bundles in self._bundles.items():
                self._bundles[address] = [bundle for bundle in bundles if bundle.path.name not in gone]
        for name in sorted(names - self._known):
            for address, bundle in self._read(self.folder / name).items():
                self._bundles[address].append(bundle)
            self._known.add(name)
        same_time = SAME_TIME_NS if changed % 10**9 else SAME_TIME_OF_WHOLE_SECONDS_NS
        self._listed_at = changed if now - changed > same_time else None

    def _read(self, path: Path) -> dict[str, Bundle]:
        """Return what is in a segment. A damaged one is renamed."""
        try:
            return read_index(path)
        except ValueError:
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(".damaged"))
        except FileNotFoundError:  # another process has renamed it
            pass
        return {}
