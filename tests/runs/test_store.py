"""The store returns complete bundles or none."""

import concurrent.futures
import hashlib
import os
import signal
import subprocess
import sys
import threading
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


def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    for attempt in range(4):
        root = tmp_path / str(attempt)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.013 * (attempt + 1))
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = [0, *map(int, process.stdout.read().split())]
        process.wait()
        found = Store(root).get(ADDRESS)
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


def test_the_bundles_of_a_group_are_flushed_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both, fsync = threading.Barrier(2), os.fsync

    def meeting(descriptor: int) -> None:
        both.wait(timeout=60)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meeting)
    store, addresses = Store(tmp_path), ["a" * 64, "b" * 64]
    bundles = {address: pack({"cell/row": np.full(3, place)}) for place, address in enumerate(addresses)}
    store.put_all(bundles)
    assert [store.get(address)["cell"]["row"].tolist() for address in addresses] == [[0, 0, 0], [1, 1, 1]]


def test_the_threads_that_write_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, addresses = Store(tmp_path), [letter * 64 for letter in "abcd"]
    store.put_all(dict.fromkeys(addresses[:2], bundle()))
    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", lambda *_: pytest.fail("started threads again"))
    store.put_all(dict.fromkeys(addresses[2:], bundle()))
    assert all(map(store.cells, addresses))


def test_after_ctrl_c_nothing_is_written_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, waited = concurrent.futures.wait, []

    def interrupted(written: object) -> object:
        waited.append(written)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return wait(written)

    monkeypatch.setattr(concurrent.futures, "wait", interrupted)
    store, addresses = Store(tmp_path), [f"{place:064x}" for place in range(64)]
    with pytest.raises(KeyboardInterrupt):
        store.put_all(dict.fromkeys(addresses, bundle()))
    assert all(map(store.cells, addresses))


def test_a_bundle_that_cannot_be_written_leaves_the_others(tmp_path: Path) -> None:
    store, addresses = Store(tmp_path), [letter * 64 for letter in "abc"]
    (tmp_path / "bb").write_text("a file where a folder must be")
    with pytest.raises(OSError, match="bb"):
        store.put_all({address: pack({"cell/row": np.zeros(1)}) for address in addresses})
    assert [bool(store.cells(address)) for address in (addresses[0], addresses[2])] == [True, True]
