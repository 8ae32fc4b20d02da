"""Stores arrays on disk by address. Writes are atomic, reads are verified, and any number of processes may share it.

The results of a job are one or more bundles. A bundle is in the format of safetensors and kept with the SHA-256 of its
bytes, so that damage is detected. It is a file in `<root>/<first two characters of the address>/<address>/`, named by
the SHA-256. The bundles of jobs that were computed together are one file in `<root>/segments/` (see `segments.py`). A
file is written to a temporary one, flushed and renamed, so that a process killed at any moment leaves either the whole
file or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from .segments import Bundle, SegmentIndex, encode, read_index

SUFFIX = ".safetensors"
STATE = "unfinished.state"
SEGMENTS = "segments"
ABANDONED_AFTER = 3600.0  # seconds; the process that wrote an older unfinished file is dead


Rows = dict[str, dict[str, NDArray[Any]]]  # cell -> row -> array


def rows_by_cell(arrays: Mapping[str, NDArray[Any]]) -> Rows:
    """Return arrays named `cell/row` by their cells."""
    found: Rows = {}
    for name, array in arrays.items():
        cell, _, row = name.partition("/")
        found.setdefault(cell, {})[row] = array
    return found


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a bundle of arrays named `cell/row`. Equal arrays give equal bytes."""
    return save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})


def pack_parts(arrays: Mapping[str, NDArray[Any]], parts: Sequence[slice]) -> list[bytes]:
    """Return the bundle of each of some parts of the rows: what `pack` returns for them, in a fraction of the time.

    The header says only names, types and shapes, so that parts of one length share it.
    """
    heads: dict[int, tuple[bytes, list[NDArray[Any]]]] = {}
    bundles = []
    for part in parts:
        length = part.stop - part.start
        if length not in heads:
            first = pack({name: rows[part] for name, rows in arrays.items()})
            start = 8 + int.from_bytes(first[:8], "little")
            offsets = {name: entry["data_offsets"] for name, entry in json.loads(first[8:start]).items()}
            heads[length] = first[:start], [arrays[name] for name in sorted(offsets, key=offsets.__getitem__)]
        head, ordered = heads[length]
        bundles.append(b"".join([head, *(rows[part].tobytes() for rows in ordered)]))
    return bundles


class Store:
    """The store in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.segments = SegmentIndex(root / SEGMENTS)
        self._swept = False  # whether what dead processes left among the segments is deleted

    def folder(self, address: str) -> Path:
        return self.root.joinpath(address[:2], address)

    def state_file(self, address: str) -> Path:
        """Return the file in which a worker keeps the state of a long job until its result is stored."""
        return self.folder(address) / STATE

    def forget_state(self, address: str) -> None:
        """Remove the state of a job that has a result or has failed: a new attempt starts from its beginning."""
        with contextlib.suppress(OSError):
            self.state_file(address).unlink()

    def put(self, address: str, bundle: bytes) -> None:
        """Write a bundle; it is on the disk when this returns. Raises OSError, for example if the disk is full."""
        write_atomically(self.folder(address) / f"{hashlib.sha256(bundle).hexdigest()}{SUFFIX}", bundle)

    def put_all(self, bundles: Mapping[str, bytes]) -> None:
        """Write the bundles of jobs that were computed together, as one file; it is on the disk when this returns.

        If it cannot be written, the bundles are written one by one, as many as can be. Raises OSError if one cannot.

        Args:
            bundles: The bundles by address.
        """
        if len(bundles) > 1:
            name, content = encode(bundles)
            swept, self._swept = self._swept, True
            with contextlib.suppress(OSError):
                write_atomically(self.segments.folder / name, content, sweep=not swept)
                return
        failed: OSError | None = None
        for address, bundle in bundles.items():
            try:
                self.put(address, bundle)
            except OSError as error:
                failed = failed or error
        if failed:
            raise failed

    def cells(self, address: str) -> set[str]:
        """Return the keys of the stored cells of a job. Only the headers of its bundles are read. Raises OSError."""
        names: set[str] = set()
        for bundle in self._bundles(address):
            try:
                size = int.from_bytes(bundle.read(8), "little")
                head = bundle.read(8 + size)[8:]
                if size > len(head):
                    raise ValueError("the header is longer than the bundle")
                names.update(name.partition("/")[0] for name in json.loads(head) if name != "__metadata__")
            except FileNotFoundError:  # another process has found it damaged
                continue
            except (ValueError, AttributeError, TypeError, RecursionError):
                self._set_aside(bundle)
        return names

    def get(self, address: str, cells: Collection[str] | None = None) -> Rows:
        """Return the stored arrays of a job, cell -> row -> array. A damaged bundle is renamed, never returned.

        Raises OSError, for example if a file may not be read: its results are not missing.

        Args:
            address: The job's address.
            cells: The keys of the cells to return; all by default.
        """
        found: Rows = {}
        for bundle in self._bundles(address):
            try:
                content = bundle.read()
            except FileNotFoundError:  # another process has found it damaged
                continue
            if hashlib.sha256(content).hexdigest() != bundle.digest:
                self._set_aside(bundle)
                continue
            try:
                arrays = load(content)
            except Exception:  # the digest is right, but it is no bundle; safetensors raises errors of several kinds
                self._set_aside(bundle)
                continue
            for cell, rows in rows_by_cell(arrays).items():
                if cells is None or cell in cells:
                    found.setdefault(cell, {}).update(rows)
        return found

    def _bundles(self, address: str) -> Iterator[Bundle]:
        """Yield the bundles of a job: its parts of segments, and its own files.

        In this order, because another process may move a part to a file of its own meanwhile.
        """
        yield from self.segments.find(address)
        folder = self.folder(address)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in sorted(os.listdir(folder)):  # noqa: PTH208 (most often, there is no such folder)
                if name.endswith(SUFFIX):
                    yield Bundle(folder / name, name.removesuffix(SUFFIX))

    def _set_aside(self, bundle: Bundle) -> None:
        """Rename the file of a damaged bundle. What is undamaged in a segment is kept in other files."""
        with contextlib.suppress(OSError):
            if bundle.in_segment:
                self._copy_undamaged(bundle.path)
            bundle.path.replace(bundle.path.with_suffix(".damaged"))

    def _copy_undamaged(self, segment: Path) -> None:
        """Write the undamaged bundles of a segment to files of their own. Raises OSError."""
        try:
            index = read_index(segment)
        except ValueError:  # it was damaged after it had been read
            return
        for address, bundle in index.items():
            content = bundle.read()
            if hashlib.sha256(content).hexdigest() == bundle.digest:
                self.put(address, content)


def write_atomically(path: Path, content: bytes, sweep: bool = True) -> None:
    """Write a file. At every moment the file on the disk has either its old content or the complete new one.

    Args:
        path: The file; its folder is made if there is none.
        content: What it will hold.
        sweep: Whether to delete unfinished files in the folder that dead processes have left, which reads all names.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if sweep:
            remove_abandoned(folder)
    # no id of a process: two containers on one disk may have the same
    unfinished = folder / f".{path.name[:40]}.{os.urandom(8).hex()}.unfinished"
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_abandoned(folder: Path) -> None:
    """Delete the unfinished files of processes that died."""
    for leftover in folder.glob(".*.unfinished"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > ABANDONED_AFTER:
                leftover.unlink()


@contextlib.contextmanager
def store_of_run(folder: Path) -> Iterator[Store]:
    """Open the store beside a run's folder; a temporary one if the folder was moved away from its store."""
    beside = folder.resolve().parent.parent / "store"
    if beside.is_dir():
        yield Store(beside)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Store(Path(temporary))
