"""Digests of files: right, remembered only while the file is the same, and never in the way."""

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
    """The files that are indeed read."""
    read, seen = files._read, []
    monkeypatch.setattr(files, "_read", lambda name: (seen.append(Path(name).name), read(name))[1])
    return seen


def test_files_are_read_once(tmp_path: Path, reads: list[str]) -> None:
    paths = [old_file(tmp_path / name, name.encode()) for name in "ab"]
    expected = [hashlib.sha256(name).hexdigest() for name in (b"a", b"b", b"a")]
    for _ in range(2):
        assert files.file_digests([*paths, paths[0]]) == expected
    assert sorted(reads) == ["a", "b"]


@pytest.mark.parametrize("how", ["content of the same size and time", "another size", "another file in its place"])
def test_a_file_that_changed_is_read_again(tmp_path: Path, how: str) -> None:
    path = old_file(tmp_path / "a", b"one")
    files.file_digest(path)
    content = b"other" if how == "another size" else b"two"
    if how == "another file in its place":
        old_file(tmp_path / "b", content).replace(path)
    else:
        old_file(path, content)
    assert files.file_digest(path) == hashlib.sha256(content).hexdigest()


def test_a_file_just_written_is_not_remembered(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"a")
    for _ in range(2):
        files.file_digest(tmp_path / "a")
    assert reads == ["a", "a"]


def test_a_memory_that_is_damaged_or_cannot_be_written_only_costs_time(tmp_path: Path, cache: Path) -> None:
    path, expected = old_file(tmp_path / "a", b"a"), hashlib.sha256(b"a").hexdigest()
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"no database" * 100)
    assert files.file_digest(path) == expected
    cache.unlink()
    cache.mkdir()
    assert files.file_digest(path) == expected


def test_what_is_remembered_is_a_plain_database(tmp_path: Path, cache: Path) -> None:
    path = old_file(tmp_path / "a", b"a")
    files.file_digest(path)
    with sqlite3.connect(cache) as database:
        ((name, digest),) = database.execute("SELECT path, sha256 FROM digests")
    assert (name, digest) == (str(path), hashlib.sha256(b"a").hexdigest())
