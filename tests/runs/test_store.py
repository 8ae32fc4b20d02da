"""The store returns complete bundles or none."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_core.store import Store, pack, pack_parts, write_atomically
from tests.properties import UNTIMED

ADDRESS = hashlib.sha256(b"a job").hexdigest()


def bundle(seed: int = 0) -> bytes:
    values = np.random.default_rng(seed).random((5, 3)).astype(np.float32)
    return pack({f"cell{seed}/row": values, f"cell{seed}/flag": values[:, 0] > 0.5})


def test_the_bundles_of_a_job_are_merged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.get(ADDRESS) == {}
    assert store.cells(ADDRESS) == set()
    store.put(ADDRESS, bundle(0))
    store.put(ADDRESS, bundle(1))
    store.put(ADDRESS, bundle(1))
    found = store.get(ADDRESS)
    assert set(found) == store.cells(ADDRESS) == {"cell0", "cell1"}
    assert np.array_equal(found["cell1"]["row"], np.random.default_rng(1).random((5, 3)).astype(np.float32))
    assert found["cell0"]["flag"].dtype == bool


def test_equal_arrays_make_equal_bytes_in_any_order() -> None:
    one = {"b/x": np.arange(3), "a/x": np.zeros((2, 2), np.float32)}
    assert pack(one) == pack(dict(reversed(one.items())))


def test_parts_are_packed_to_the_bytes_of_each() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "b/images": rng.random((12, 3, 2)).astype(np.float32)[:, ::-1],
        "b/fooled": rng.random(12) > 0.5,
        "a/levels": rng.integers(0, 255, (12, 2, 2), np.uint8),
        "a/queries": np.arange(12, dtype=np.int16),
        "a/nothing": np.zeros((12, 0)),
        "a/distance": rng.random(12),
    }
    parts = [slice(0, 5), slice(5, 10), slice(10, 12)]
    expected = [pack({name: rows[part] for name, rows in arrays.items()}) for part in parts]
    assert pack_parts(arrays, parts) == expected
    assert pack_parts({}, parts) == [pack({})] * 3


@settings(UNTIMED, max_examples=60)
@given(st.integers(0, 10**9), st.integers(0, 7))
def test_a_bundle_with_a_flipped_bit_is_not_returned(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.put(ADDRESS, bundle())
    (path,) = store.root.rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    assert store.get(ADDRESS) == {}
    assert not list(store.root.rglob("*.safetensors"))
    store.cells(ADDRESS)  # never raises, whatever the header contains
    store.put(ADDRESS, bundle())
    assert set(store.get(ADDRESS)) == {"cell0"}


def test_a_truncated_bundle_is_not_returned(tmp_path: Path) -> None:
    complete = bundle()
    for length in range(0, len(complete), 7):
        store = Store(tmp_path / str(length))
        store.put(ADDRESS, complete)
        (path,) = store.root.rglob("*.safetensors")
        path.write_bytes(complete[:length])
        store.cells(ADDRESS)
        assert store.get(ADDRESS) == {}


WRITER = """
import sys
from pathlib import Path
from bench_core.store import Store
from tests.runs.test_store import ADDRESS, bundle
store = Store(Path(sys.argv[1]))
for seed in range(10**6):
    store.put(ADDRESS, bundle(seed))
    print(seed, flush=True)
"""


@pytest.mark.parametrize("kind", ["one", "group"])
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path, kind: str) -> None:
    writer, address = (WRITER, ADDRESS) if kind == "one" else (GROUPS, ADDRESSES[3])
    for attempt in range(4):
        root = tmp_path / str(attempt)
        process = subprocess.Popen([sys.executable, "-c", writer, str(root)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.013 * (attempt + 1))
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = [0, *map(int, process.stdout.read().split())]
        process.wait()
        found = Store(root).get(address)
        assert {f"cell{seed}" for seed in acknowledged} <= set(found)
        assert not list(root.rglob("*.damaged"))


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_abandoned_file_is_deleted_and_a_recent_one_is_not(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".a.1.unfinished", tmp_path / ".b.2.unfinished"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    write_atomically(tmp_path / "file", b"new")
    assert not old.exists()
    assert fresh.exists()


ADDRESSES = [hashlib.sha256(bytes([place])).hexdigest() for place in range(5)]


def group() -> dict[str, bytes]:
    return {address: bundle(place) for place, address in enumerate(ADDRESSES)}


def kept(store: Store) -> list[set[str]]:
    return [set(store.get(address)) for address in ADDRESSES]


ALL_KEPT = [{f"cell{place}"} for place in range(5)]


def test_the_bundles_of_a_group_are_one_file_flushed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (flushed.append(descriptor), fsync(descriptor)))
    store = Store(tmp_path)
    store.put_all(group())
    assert len(flushed) == 2  # the file, and its folder
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    assert kept(store) == [store.cells(address) for address in ADDRESSES] == ALL_KEPT
    for place, address in enumerate(ADDRESSES):
        expected = np.random.default_rng(place).random((5, 3)).astype(np.float32)
        assert np.array_equal(store.get(address)[f"cell{place}"]["row"], expected)


def test_files_of_a_job_and_parts_of_segments_are_merged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(ADDRESSES[0], bundle(7))
    store.put_all(group())
    store.put_all({ADDRESSES[0]: bundle(8), ADDRESSES[1]: bundle(8)})
    assert kept(store)[:3] == [{"cell0", "cell7", "cell8"}, {"cell1", "cell8"}, {"cell2"}]
    assert set(store.get(ADDRESSES[0], ["cell8"])) == {"cell8"}


def test_equal_groups_are_one_segment(tmp_path: Path) -> None:
    for _ in range(2):
        Store(tmp_path).put_all(group())
    assert len(list(tmp_path.rglob("*.segment"))) == 1


def test_a_store_sees_what_another_one_writes_and_deletes(tmp_path: Path) -> None:
    one, other = Store(tmp_path), Store(tmp_path)
    for number in range(50):  # several within one tick of the file system's clock
        addresses = [hashlib.sha256(f"{number} {place}".encode()).hexdigest() for place in range(2)]
        assert one.cells(addresses[0]) == set()
        other.put_all(dict.fromkeys(addresses, bundle()))
        assert one.cells(addresses[1]) == {"cell0"}
    shutil.rmtree(tmp_path)
    assert one.cells(addresses[1]) == set()
    assert one.get(addresses[0]) == {}


@settings(UNTIMED, max_examples=150)
@given(st.integers(0, 10**9), st.integers(0, 7), st.booleans())
def test_of_a_segment_with_a_flipped_bit_only_undamaged_bundles_are_returned(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, headers_first: bool
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.put_all(group())
    (path,) = store.root.rglob("*.segment")
    content = bytearray(path.read_bytes())
    index_end = 8 + int.from_bytes(content[:8], "little")
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    store = Store(store.root)
    if headers_first:
        for address in ADDRESSES:
            store.cells(address)  # never raises
    found = kept(store)
    lost = [given != expected for given, expected in zip(found, ALL_KEPT, strict=True)]
    assert sum(lost) == (5 if place % len(content) < index_end else 1)
    assert all(not cells for cells, gone in zip(found, lost, strict=True) if gone)
    assert not list(store.root.rglob("*.segment"))
    assert len(list(store.root.rglob("*.damaged"))) >= 1
    store.put_all(group())
    assert kept(store) == kept(Store(store.root)) == ALL_KEPT


def test_of_a_truncated_segment_the_complete_bundles_are_returned(tmp_path: Path) -> None:
    sizes = [len(each) for each in group().values()]
    for cut in range(0, sum(sizes) + 500, 53):
        store = Store(tmp_path / str(cut))
        store.put_all(group())
        (path,) = store.root.rglob("*.segment")
        content = path.read_bytes()[: -cut or None]
        path.write_bytes(content)
        complete = sum(cut <= sum(sizes[place + 1 :]) for place in range(5)) if cut <= sum(sizes) else 0
        assert kept(Store(store.root)) == ALL_KEPT[:complete] + [set()] * (5 - complete)


@pytest.mark.parametrize(
    "index",
    [[], {"a": 1}, {"a": [0, 1]}, {"a": [-1, 1, "x"]}, {"a": [0, "1", "x"]}, {"a": [0, 10**30, "x"]}, None, "a"],
    ids=str,
)
def test_a_forged_index_is_never_served_and_never_raises(tmp_path: Path, index: object) -> None:
    store, text = Store(tmp_path), json.dumps(index).replace("a", ADDRESS).encode()
    path = tmp_path / "segments" / f"{hashlib.sha256(text).hexdigest()}.segment"
    path.parent.mkdir()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(10))
    assert store.cells(ADDRESS) == set()
    assert store.get(ADDRESS) == {}
    store.put(ADDRESS, bundle())
    assert set(Store(tmp_path).get(ADDRESS)) == {"cell0"}


def test_a_group_that_cannot_be_one_file_is_kept_in_several(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "segments").write_text("a file where a folder must be")
    store.put_all(group())
    assert kept(store) == ALL_KEPT


def test_a_bundle_that_cannot_be_written_leaves_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("segments", ADDRESSES[1][:2]):
        (tmp_path / name).write_text("a file where a folder must be")
    with pytest.raises(OSError, match=ADDRESSES[1][:2]):
        store.put_all(group())
    assert kept(store) == [ALL_KEPT[0], set(), *ALL_KEPT[2:]]


GROUPS = """
import sys
from pathlib import Path
from bench_core.store import Store
from tests.runs.test_store import ADDRESSES, bundle
store = Store(Path(sys.argv[1]))
for seed in range(10**6):
    store.put_all(dict.fromkeys(ADDRESSES, bundle(seed)))
    print(seed, flush=True)
"""
