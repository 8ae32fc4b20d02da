"""Finds which runs are unchanged without reading them, by the sizes and modification times of their files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from ...errors import Fault, UsageError
from ...runs.folder import OTHER_RUNS_FILE, RECORD_FILE, ROWS_FILE, SCORES_FILE
from ...store import write_atomically

SETTLED = 2_000_000_000  # nanoseconds; a file modified more recently may change again and keep its modification time


def run_files(folder: Path) -> list[Path]:
    """Return the files of a run that its pages are made from."""
    copied = sorted([*folder.glob("published/*"), *folder.glob(OTHER_RUNS_FILE)])
    return [*(folder / name for name in (RECORD_FILE, ROWS_FILE, SCORES_FILE)), *copied]


class KnownDigests:
    """The digests of runs, each with the sizes and times that its files had. Those that were requested can be saved."""

    def __init__(self, file: Path | None = None) -> None:
        """Read the digests that an earlier call saved.

        Args:
            file: The file of digests. None, and a file that cannot be read, are as if it were empty.
        """
        self._file = file
        self._asked: dict[str, tuple[str, str]] = {}
        try:
            saved = json.loads(file.read_text(encoding="utf-8")) if file else {}
            self._known = {str(folder): (str(stamp), str(digest)) for folder, (stamp, digest) in saved.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._known = {}

    def digest_of(self, folder: Path, compute: Callable[[Path], str]) -> str:
        """Return the digest of a run; `compute(folder)` is called if its files are new or changed."""
        name, (stamp, settled) = str(folder.resolve()), _stamp(folder)
        known_stamp, digest = self._known.get(name, ("", ""))
        if known_stamp != stamp:
            digest = compute(folder)
        if settled:
            self._asked[name] = stamp, digest
        return digest

    def save(self) -> None:
        if self._file and self._asked != self._known:
            write_atomically(self._file, json.dumps(self._asked).encode())


def _stamp(folder: Path) -> tuple[str, bool]:
    """Return the sizes and times of a run's files as text, and whether the newest change is older than `SETTLED`."""
    try:
        states = [(path.name, path.stat()) for path in run_files(folder)]
    except OSError as error:
        raise UsageError(Fault(str(error.filename), "", f"cannot read: {error.strerror}")) from None
    text = " ".join(f"{name} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}" for name, s in states)
    newest = max(max(state.st_mtime_ns, state.st_ctime_ns) for _, state in states)
    return text, time.time_ns() - newest > SETTLED
