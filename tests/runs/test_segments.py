"""Segments that are forged, damaged while they are read, or written by others meanwhile."""

import hashlib
import json
from pathlib import Path

import pytest

from bench_core.store import Store
from tests.runs.test_store import ADDRESSES, bundle


def forge(root: Path, index: object, rest: bytes) -> Path:
    """Write a segment whose index has the right digest."""
    text = json.dumps(index).encode()
    path = root / "segments" / f"{hashlib.sha256(text).hexdigest()}.segment"
    path.parent.mkdir(parents=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + rest)
    return path


@pytest.mark.parametrize("address", ["../../escaped", "{outside}", "", "..", "a\0b", "\ud800", "a" * 5000, "A" * 64])
def test_a_forged_address_writes_nothing_outside_of_the_store(tmp_path: Path, address: str) -> None:
    address, content = address.format(outside=tmp_path / "escaped"), bundle()
    index = {ADDRESSES[0]: [0, 1, "x"], address: [0, len(content), hashlib.sha256(content).hexdigest()]}
    root = tmp_path / "two" / "deep" / "store"
    path = forge(root, index, content)
    store = Store(root)
    assert store.cells(ADDRESSES[0]) == set()
    assert store.get(ADDRESSES[0]) == {}
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path.with_suffix(".damaged")]


@pytest.mark.parametrize("start", [2**62, 2**63, 10**30])
def test_a_forged_place_is_no_error(tmp_path: Path, start: int) -> None:
    forge(tmp_path, {ADDRESSES[0]: [start, 1, "x"]}, b"")
    assert Store(tmp_path).get(ADDRESSES[0]) == {}
    assert Store(tmp_path).cells(ADDRESSES[0]) == set()
