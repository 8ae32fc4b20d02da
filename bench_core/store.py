"""Address -> arrays, on disk: atomic, self-checking, shared by any number of processes.

The results of a job lie in `<root>/<first two of its address>/<address>/`, in one or more bundles. A bundle is a
safetensors file named by the SHA-256 of its own bytes, so that a damaged one is known by its name alone; it is written
beside its place, flushed and renamed, so that a process killed at any moment leaves either a whole bundle or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

SUFFIX = ".safetensors"
ABANDONED_AFTER = 3600.0  # seconds; an unfinished file older than this belongs to a dead process


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Make a bundle of arrays named `cell/row`; equal arrays give equal bytes."""
    return save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})


class Store:
    """A folder of results."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, address: str) -> Path:
        return self.root / address[:2] / address

    def put(self, address: str, bundle: bytes) -> None:
        """Keep a bundle; when this returns it is on the disk. Raises OSError where the disk is full."""
        write_atomically(self.folder(address) / f"{hashlib.sha256(bundle).hexdigest()}{SUFFIX}", bundle)

    def cells(self, address: str) -> set[str]:
        """Name the cells of a job that are stored, reading no more than the headers."""
        names: set[str] = set()
        for path in self._bundles(address):
            try:
                with path.open("rb") as file:
                    size = int.from_bytes(file.read(8), "little")
                    if size > path.stat().st_size:
                        raise ValueError("the header is longer than the file")
                    header = json.loads(file.read(size))
                names.update(name.partition("/")[0] for name in header if name != "__metadata__")
            except (OSError, ValueError):
                self._set_aside(path)
        return names

    def get(self, address: str) -> dict[str, dict[str, NDArray[Any]]]:
        """Give the stored arrays of a job, cell -> row -> array; a damaged bundle is set aside, never served."""
        found: dict[str, dict[str, NDArray[Any]]] = {}
        for path in self._bundles(address):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != path.stem:
                self._set_aside(path)
                continue
            try:
                arrays = load(content)
            except (
                Exception
            ):  # it bears its own digest, and was never a bundle; safetensors has errors of several kinds
                self._set_aside(path)
                continue
            for name, array in arrays.items():
                cell, _, row = name.partition("/")
                found.setdefault(cell, {})[row] = array
        return found

    def _bundles(self, address: str) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from sorted(path for path in self.folder(address).iterdir() if path.suffix == SUFFIX)

    def _set_aside(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".damaged"))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at every moment the old content or the whole new one stands there, on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob(".*.unfinished"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > ABANDONED_AFTER:
                other.unlink()
    unfinished = path.parent / f".{path.name[:40]}.{os.getpid()}.unfinished"
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
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
