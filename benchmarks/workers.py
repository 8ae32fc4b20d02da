"""How throughput grows with the number of workers: `python -m benchmarks.workers`.

Compares one local worker with several, with several of Ray, and with one that has as many threads. They compute the
cells of one source of `transfer_table1` on 40 images. Only the attack stage is timed (wall-clock time); an earlier
stage has started the workers. Needs an idle machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_core import load_suite, run
from bench_core.progress import Advance
from benchmarks.side_by_side import quartiles, report, setting

SETTINGS = (
    'sources=["VGG"]',
    'images.models=["VGG"]',
    "images.count=40",
    "compute.micro_batch=20",  # so that every worker has jobs
)


class Stages:
    """A progress display that records the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, _total: float) -> Iterator[Advance]:
        start = time.perf_counter()
        yield lambda _amount: None
        self.seconds[name] = time.perf_counter() - start


def attacks_stage(executor: str, workers: int, threads: int = 1) -> float:
    """Return the wall-clock seconds of the attack stage of one run."""
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder:
        suite = load_suite("transfer_table1", None, SETTINGS)
        run(suite, out=Path(folder), executor=executor, workers=workers, threads=threads, progress=stages)
    return stages.seconds["attacks"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    contestants: dict[str, tuple[str, int, int]] = {
        "local, 1 worker": ("local", 1, 1),
        f"local, 1 worker of {given.workers} threads": ("local", 1, given.workers),
        f"local, {given.workers} workers": ("local", given.workers, 1),
        f"ray, {given.workers} workers": ("ray", given.workers, 1),
    }
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(given.turns):
        for name, options in contestants.items():
            taken[name].append(attacks_stage(*options))
    single = taken["local, 1 worker"]
    lines = []
    for name, seconds in taken.items():
        low, middle, high = quartiles([one / several for one, several in zip(single, seconds, strict=True)])
        lines.append(f"{name:30s} {quartiles(seconds)[1]:7.1f} s   throughput {middle:.2f} [{low:.2f}, {high:.2f}]")
    report("Throughput relative to one local worker", "\n".join(lines), setting(given.turns, "ray"))


if __name__ == "__main__":
    main()
