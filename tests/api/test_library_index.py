"""What a library offers: read in another process, once per version, whatever becomes of the cache."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench_core.library_index import library_index

INDEX = """
from pathlib import Path

def index():
    print("libraries print things")
    log = Path(__file__).with_name("log.txt")
    log.write_text((log.read_text() if log.exists() else "") + "asked ")
    return {"names": ["one"]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of importable modules, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "indexed.py").write_text(INDEX)
    yield tmp_path
    library_index.cache_clear()


def ask(version: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """Ask as a new process would."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: version)
    library_index.cache_clear()
    return library_index("somelib", "indexed")


def asked(folder: Path) -> int:
    return len((folder / "log.txt").read_text().split())


def cached(folder: Path) -> list[Path]:
    return list((folder / "cache" / "bench" / "library_index").glob("*.json"))


def test_it_is_read_once_per_version_and_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("1.0", monkeypatch) == ask("1.0", monkeypatch) == {"names": ["one"]}
    assert asked(folder) == 1
    assert "indexed" not in sys.modules
    ask("1.1", monkeypatch)
    assert asked(folder) == 2
    (folder / "indexed.py").write_text(INDEX + "# edited\n")
    ask("1.1", monkeypatch)
    assert asked(folder) == 3


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b'{"names": '])
def test_a_damaged_cache_is_replaced(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask("1.0", monkeypatch)
    (file,) = cached(folder)
    file.write_bytes(content)
    assert ask("1.0", monkeypatch) == {"names": ["one"]}
    assert ask("1.0", monkeypatch) == {"names": ["one"]}
    assert asked(folder) == 2


def test_a_cache_that_cannot_be_written_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cache").write_text("a file where the folder should be")
    assert ask("1.0", monkeypatch) == {"names": ["one"]}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def index():\n    raise RuntimeError('no GPU')\n", "somelib 1.0 cannot be listed: RuntimeError: no GPU"),
        ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'"),
        ("def index():\n    return [1]\n", "returned list, not an object"),
        ("import os\nos._exit(3)\n", "exit code 3"),
    ],
)
def test_a_broken_library_is_one_line(source: str, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "indexed.py").write_text(source)
    with pytest.raises(ImportError, match=reason) as error:
        ask("1.0", monkeypatch)
    assert "\n" not in str(error.value)
    assert cached(folder) == []
