"""Digests of files that do not belong to bench, remembered from run to run; one that changed is read again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

JUST_WRITTEN_NS = 2 * 10**9  # a file changed this recently may change again under the same time stamp: not remembered
AT_ONCE = 500  # paths in one question to the database
TABLE = "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, mark TEXT, sha256 TEXT)"


def memory() -> Path:
    """Where digests are remembered: `bench/digests.sqlite` of the user's cache. May be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench" / "digests.sqlite"


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file. Raises OSError where it cannot be read."""
    return file_digests([Path(path)])[0]


def file_digests(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each file, several read at a time. Raises OSError where one cannot be read."""
    names = [os.path.abspath(path) for path in paths]  # noqa: PTH100 (of 50,000 files, ten times as fast)
    marks = [_mark(name) for name in names]
    found = _recall(names, marks)
    missing = [name for name in dict.fromkeys(names) if name not in found]
    with ThreadPoolExecutor() as pool:
        fresh = dict(zip(missing, pool.map(_read, missing), strict=True))
    _remember([(name, mark, fresh[name]) for name, mark in zip(names, marks, strict=True) if name in fresh])
    known = found | fresh
    return [known[name] for name in names]


def _mark(name: str) -> str:
    """What changes when a file does: size, both times, inode (another file moved to the same place has another)."""
    state = os.stat(name)  # noqa: PTH116
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"


def _read(name: str) -> str:
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recall(names: Sequence[str], marks: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if not memory().is_file():
        return found
    with suppress(sqlite3.Error), _open() as database:
        wanted = dict(zip(names, marks, strict=True))
        for some in batched(wanted, AT_ONCE):
            query = f"SELECT path, mark, sha256 FROM digests WHERE path IN ({', '.join('?' * len(some))})"
            found |= {name: digest for name, mark, digest in database.execute(query, some) if wanted[name] == mark}
    return found


def _remember(rows: Sequence[tuple[str, str, str]]) -> None:
    now = time.time_ns()
    settled = [row for row in rows if int(row[1].split()[1]) < now - JUST_WRITTEN_NS]
    if settled:
        with suppress(sqlite3.Error, OSError):  # no memory is no error, only slower
            memory().parent.mkdir(parents=True, exist_ok=True)
            with _open() as database, database:
                database.execute(TABLE)
                database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", settled)


def batched(names: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    remaining = iter(names)
    while some := tuple(islice(remaining, size)):
        yield some


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(memory(), timeout=10)) as database:
        yield database
