"""SHA-256 of data files, cached between runs; a file that changed is read again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path

RECENT_NS = 2 * 10**9  # a file modified this recently may change again under the same time stamp: not cached
PATHS_PER_QUERY = 500
TABLE = "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, mark TEXT, sha256 TEXT)"


def cache_path() -> Path:
    """Return the path of the cache, which may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench" / "digests.sqlite"


memory = cache_path  # its name in the first release of the plugin API


def safe_name(name: str) -> str:
    """Return a safe file name: at most 100 ASCII letters, digits, dots, dashes and underscores, and not only dots."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)[:100]
    return plain if plain.strip(".") else f"_{plain}"


def read_text(path: str | Path) -> str:
    """Return the content of a text file in UTF-8, without the byte-order mark that some editors write.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not UTF-8; the message says what it seems to be, and what would do.
    """
    content = Path(path).read_bytes()
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content
    try:
        if utf16:
            raise ValueError("not UTF-8, but UTF-16 or no text (try saving it as UTF-8)")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        raise ValueError(f"not UTF-8: byte 0x{byte:02x} in line {line} (try saving it as UTF-8)") from None


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file. Raises OSError if it cannot be read."""
    return file_digests([Path(path)])[0]


def file_digests(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file, reading several at a time. Raises OSError if one cannot be read."""
    names = [os.path.abspath(path) for path in paths]  # noqa: PTH100 (ten times as fast for 50,000 files)
    marks = [_mark(name) for name in names]
    cached = _look_up(names, marks)
    missing = [name for name in dict.fromkeys(names) if name not in cached]
    fresh = dict(zip(missing, _read_all(missing), strict=True)) if missing else {}
    _save([(name, mark, fresh[name]) for name, mark in zip(names, marks, strict=True) if name in fresh])
    known = cached | fresh
    return [known[name] for name in names]


def _mark(name: str) -> str:
    """Return what changes with a file's content: size, both times, inode (of a file moved into its place)."""
    state = os.stat(name)  # noqa: PTH116
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"


def _read_all(names: Sequence[str]) -> list[str]:
    from concurrent.futures import ThreadPoolExecutor  # takes milliseconds, and most commands find all in the cache

    with ThreadPoolExecutor() as pool:
        return list(pool.map(_read, names))


def _read(name: str) -> str:
    with Path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _look_up(names: Sequence[str], marks: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if not cache_path().is_file():
        return found
    with suppress(sqlite3.Error), _open() as database:
        wanted = dict(zip(names, marks, strict=True))
        for some in _batched(wanted, PATHS_PER_QUERY):
            query = f"SELECT path, mark, sha256 FROM digests WHERE path IN ({', '.join('?' * len(some))})"
            found |= {name: digest for name, mark, digest in database.execute(query, some) if wanted[name] == mark}
    return found


def _save(rows: Sequence[tuple[str, str, str]]) -> None:
    now = time.time_ns()
    settled = [row for row in rows if int(row[1].split()[1]) < now - RECENT_NS]
    if settled:
        with suppress(sqlite3.Error, OSError):  # without the cache, digests are only slower
            cache_path().parent.mkdir(parents=True, exist_ok=True)
            with _open() as database, database:
                database.execute(TABLE)
                database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", settled)


def _batched(names: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    """Split names into tuples of at most `size` (`itertools.batched` needs Python 3.12)."""
    remaining = iter(names)
    while some := tuple(islice(remaining, size)):
        yield some


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(cache_path(), timeout=10)) as database:
        yield database
