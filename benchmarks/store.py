"""What it costs to store a result safely: `python -m benchmarks.store`.

Writes and reads a bundle of the size of a job of table 1 (25 images, 20 steps, 7 targets). The store names it by its
SHA-256, flushes file and folder, and checks the digest on every read. Compared with a plain file with and without a
flush, and with NumPy's format. Wall-clock time, since it measures the disk.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from itertools import count
from pathlib import Path

import numpy as np

from bench_core.store import Store, pack
from benchmarks.side_by_side import compared, in_turns, report, setting

BUNDLES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    turns = parser.parse_args().turns
    draw = np.random.default_rng(0)
    arrays = {f"{cell:032x}/fooled": draw.random((25, 20)) < 0.5 for cell in range(7)}
    arrays |= {f"attack/{name}": draw.random(25) for name in ("linf", "l2", "forwards", "backwards")}
    bundle = pack(arrays)
    with tempfile.TemporaryDirectory() as folder:
        root, fresh = Path(folder), count()
        store = Store(root / "store")

        def write_plain(flush: bool) -> None:
            for _ in range(BUNDLES):
                with (root / f"{next(fresh)}.bin").open("wb") as file:
                    file.write(bundle)
                    if flush:
                        file.flush()
                        os.fsync(file.fileno())

        def put() -> None:
            for _ in range(BUNDLES):
                store.put(f"{next(fresh):064x}", bundle)

        def write_numpy() -> None:
            for _ in range(BUNDLES):
                np.savez(root / f"{next(fresh)}.npz", **{name.replace("/", "."): a for name, a in arrays.items()})

        writers = {
            "store": put,
            "plain file, flushed": lambda: write_plain(True),
            "plain file": lambda: write_plain(False),
            "np.savez": write_numpy,
        }
        seconds = in_turns(writers, turns, time.perf_counter)
        report(f"Writing {len(bundle):,} bytes", compared(seconds, "store", BUNDLES / 1000, "ms per bundle"))

        address = "ab" * 32
        store.put(address, bundle)
        raw = io.BytesIO()
        np.savez(raw, **{name.replace("/", "."): array for name, array in arrays.items()})
        (root / "read.npz").write_bytes(raw.getvalue())

        def read_numpy() -> None:
            for _ in range(BUNDLES):
                with np.load(root / "read.npz") as found:
                    _ = {name: found[name] for name in found}

        readers = {
            "store, checked": lambda: [store.get(address) for _ in range(BUNDLES)],
            "store, keys of the cells": lambda: [store.cells(address) for _ in range(BUNDLES)],
            "np.load": read_numpy,
        }
        seconds = in_turns(readers, turns, time.perf_counter)
        report("Reading", compared(seconds, "store, checked", BUNDLES / 1000, "ms per bundle"), setting(turns))


if __name__ == "__main__":
    main()
