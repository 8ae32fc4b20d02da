"""Segments that are forged, damaged while they are read, or written by others meanwhile."""

import errno
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench_core.segments import Bundle, SegmentIndex
from bench_core.store import Store
from tests.faults.persistence import struck
from tests.faults.world import exit_code, in_child
from tests.runs.test_store import ADDRESSES, ALL_KEPT, bundle, group, kept


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


def test_what_dead_processes_left_among_the_segments_is_deleted_once(tmp_path: Path) -> None:
    store, left = Store(tmp_path), tmp_path / "segments" / ".a.unfinished"
    for there in (False, True):
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"half")
        os.utime(left, (0, 0))
        store.put_all(group())
        assert left.exists() == there
    assert kept(store) == ALL_KEPT


def damage(root: Path) -> None:
    """Flip a bit of the last bundle in the only segment."""
    (path,) = root.rglob("*.segment")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_an_index_that_is_damaged_after_it_was_read_is_no_error(tmp_path: Path) -> None:
    for length in (0, 8, 100):
        store = Store(tmp_path / str(length))
        store.put_all(group())
        store.cells(ADDRESSES[0])
        (path,) = store.root.rglob("*.segment")
        path.write_bytes(path.read_bytes()[:length])
        assert kept(store) == [set()] * 5
        store.put_all(group())
        assert kept(store) == ALL_KEPT


@pytest.mark.parametrize("early", [True, False])
def test_a_bundle_that_is_moved_while_it_is_looked_for_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    store, other, find = Store(tmp_path), Store(tmp_path), SegmentIndex.find
    store.put_all(group())
    damage(tmp_path)

    def moved(index: SegmentIndex, address: str) -> list[Bundle]:
        """Let another process move the bundles just before or just after they are found."""
        if index is store.segments and early:
            other.get(ADDRESSES[4])
        found = find(index, address)
        if index is store.segments:
            other.get(ADDRESSES[4])
        return found

    monkeypatch.setattr(SegmentIndex, "find", moved)
    assert set(store.get(ADDRESSES[0])) == store.cells(ADDRESSES[0]) == {"cell0"}


def test_a_segment_that_was_computed_again_meanwhile_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.put_all(group())
    damage(tmp_path)
    salvage = Store._set_aside

    def late(store: Store, bundle: Bundle) -> None:
        Store(tmp_path).put_all(group())
        salvage(store, bundle)

    monkeypatch.setattr(Store, "_set_aside", late)
    store.get(ADDRESSES[4])
    assert kept(store) == ALL_KEPT


def test_bytes_that_are_no_bundle_are_set_aside_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_all({**group(), ADDRESSES[4]: b"no bundle"})
    for _ in range(2):
        assert kept(store) == [store.cells(address) for address in ADDRESSES] == [*ALL_KEPT[:4], set()]
    assert not list(tmp_path.rglob("*.segment"))


@pytest.mark.parametrize("unreadable", ["segments", ".segment", ".safetensors"])
def test_results_that_cannot_be_read_are_an_error_and_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unreadable: str
) -> None:
    store = Store(tmp_path)
    store.put_all(group())
    store.put(ADDRESSES[0], bundle(7))

    def refused(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *given: Any) -> Any:
            if path.name.endswith(unreadable):
                raise OSError(errno.EMFILE, "Too many open files")
            return original(path, *given)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", refused(os.listdir))
        patched.setattr(Path, "open", refused(Path.open))
        for read in (store.cells, store.get):
            with pytest.raises(OSError, match="open files"):
                read(ADDRESSES[0])
    assert kept(store) == [{"cell0", "cell7"}, *ALL_KEPT[1:]]
    assert not list(tmp_path.rglob("*.damaged"))


def test_a_segment_that_disappears_takes_only_its_own_bundles_along(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_all(group())
    (path,) = tmp_path.rglob("*.segment")
    store.put_all({ADDRESSES[0]: bundle(8), ADDRESSES[1]: bundle(8)})
    assert kept(store)[:2] == [{"cell0", "cell8"}, {"cell1", "cell8"}]
    path.unlink()
    assert kept(store) == [{"cell8"}, {"cell8"}, set(), set(), set()]
    store.put_all(group())
    assert kept(store)[:3] == [{"cell0", "cell8"}, {"cell1", "cell8"}, {"cell2"}]


def test_changes_are_seen_on_a_file_system_that_counts_seconds(tmp_path: Path) -> None:
    store, other, folder = Store(tmp_path), Store(tmp_path), tmp_path / "segments"
    now = time.time_ns() // 10**9
    for number, address in enumerate(ADDRESSES):
        other.put_all({address: bundle(number), "0" * 64: bundle(number)})
        os.utime(folder, (now, now))
        time.sleep(0.03)
        assert store.cells(address) == {f"cell{number}"}


def test_processes_with_the_same_id_may_write_the_same_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in two containers on one disk."""
    store, fsync, nested = Store(tmp_path), os.fsync, []

    def at_once(descriptor: int) -> None:
        if not nested:
            nested.append(descriptor)
            Store(tmp_path).put_all(group())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", at_once)
    store.put_all(group())
    assert kept(store) == ALL_KEPT
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".segment"]


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("strike", "lasting"), [(killed, False), (full, False), (full, True)])
def test_a_fault_while_a_segment_is_salvaged_loses_nothing(
    tmp_path: Path, strike: Callable[[], None], lasting: bool
) -> None:
    for operation in (*range(0, 32, 5), 32):  # four bundles of eight operations, and the renaming
        store = Store(tmp_path / str(operation))
        store.put_all(group())
        damage(store.root)

        def salvage(operation: int = operation, store: Store = store) -> int:
            with struck(operation, strike, lasting):
                return int(kept(store)[:4] != ALL_KEPT[:4])

        code = exit_code(in_child(salvage, tmp_path / "log"))
        assert code == (-signal.SIGKILL if strike is killed else 0)
        assert kept(store) == [*ALL_KEPT[:4], set()]
        assert not list(store.root.rglob("*.segment"))
