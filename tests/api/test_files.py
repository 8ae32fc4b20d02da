"""Digests of files: correct, cached only while the file is unchanged, and independent of the cache's state."""

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from bench_core import files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bench" / "digests.sqlite"


def old_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read, in order."""
    read, seen = files._read, []
    monkeypatch.setattr(files, "_read", lambda name: (seen.append(Path(name).name), read(name))[1])
    return seen


def test_an_unchanged_file_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    paths = [old_file(tmp_path / name, name.encode()) for name in "ab"]
    expected = [hashlib.sha256(name).hexdigest() for name in (b"a", b"b", b"a")]
    for _ in range(2):
        assert files.file_digests([*paths, paths[0]]) == expected
    assert sorted(reads) == ["a", "b"]


@pytest.mark.parametrize("change", ["content of the same size and time", "another size", "another file in its place"])
def test_a_file_that_changed_is_read_again(tmp_path: Path, change: str) -> None:
    path = old_file(tmp_path / "a", b"one")
    files.file_digest(path)
    content = b"other" if change == "another size" else b"two"
    if change == "another file in its place":
        old_file(tmp_path / "b", content).replace(path)
    else:
        old_file(path, content)
    assert files.file_digest(path) == hashlib.sha256(content).hexdigest()


def test_a_file_just_written_is_not_cached(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"a")
    written = (tmp_path / "a").stat().st_mtime_ns
    for later in (0, 10**9, 3 * 10**9, 3 * 10**9):
        monkeypatch.setattr(files.time, "time_ns", lambda later=later: written + later)
        files.file_digest(tmp_path / "a")
    assert reads == ["a", "a", "a"], "cached by the third, when the file was old enough"


def test_a_cache_that_is_damaged_or_not_writable_changes_no_digest(tmp_path: Path, cache: Path) -> None:
    path, expected = old_file(tmp_path / "a", b"a"), hashlib.sha256(b"a").hexdigest()
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"no database" * 100)
    assert files.file_digest(path) == expected
    cache.unlink()
    cache.mkdir()
    assert files.file_digest(path) == expected


def test_the_cache_is_an_sqlite_database(tmp_path: Path, cache: Path) -> None:
    path = old_file(tmp_path / "a", b"a")
    files.file_digest(path)
    with sqlite3.connect(cache) as database:
        ((name, digest),) = database.execute("SELECT path, sha256 FROM digests")
    assert (name, digest) == (str(path), hashlib.sha256(b"a").hexdigest())
