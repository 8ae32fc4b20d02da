"""Processor time of every suite with the embedded networks: `python -m benchmarks.suite_costs`.

Runs each suite with an empty store in this process, on its first images. A part of the time does not depend on their
number: all networks classify all images of the dataset. The rest is proportional to it. The last column is the time of
the suite's own number of images on two processors. With `--images 50`, a complete micro-batch, the batches are as large
as in a run; with 10 images, a suite of short attacks looks about a quarter slower.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from tabulate import tabulate

from bench_core import load_suite, run
from bench_core.registry import Registry, discover
from bench_core.suite.find import own_suites
from benchmarks.side_by_side import report, setting


@dataclass(frozen=True)
class Cost:
    """Processor seconds of a suite, measured on its first `images`."""

    images: int
    clean: float  # all networks on all clean images, and metrics that need no attack
    attacks: float  # attacks and what is measured of them

    @property
    def per_image(self) -> float:
        return self.attacks / self.images


class Clock:
    """Progress that measures the processor time of each stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def stage(self, name: str, _total: float) -> Iterator[Callable[[float], None]]:
        start = time.process_time()
        yield lambda _amount: None
        self.seconds[name] += time.process_time() - start


def cost(name: str, images: int, registry: Registry) -> Cost:
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        result = run(
            load_suite(name, "embedded"), out=out, limit=images, executor="inline", device="cpu", registry=registry,
            progress=clock, warn=False,
        )  # fmt: skip
    attacks = clock.seconds.pop("attacks")
    return Cost(len(result.selected), sum(clock.seconds.values()), attacks)


def row(name: str, found: Cost) -> list[str]:
    count = load_suite(name, "embedded").images.count or 0
    minutes = (found.clean + found.per_image * count) / 2 / 60
    return [name, str(count), f"{found.clean:.0f}", f"{found.per_image:.2f}", str(found.images), f"{minutes:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=list(own_suites()), metavar="SUITE")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument(
        "--cache", type=Path, help="a JSON file that keeps what was measured, and from which it is read"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    registry = discover()
    known = json.loads(given.cache.read_text()) if given.cache and given.cache.is_file() else {}
    for name in given.suites:
        if name not in known:
            known[name] = asdict(cost(name, given.images, registry))
            if given.cache:
                given.cache.write_text(json.dumps(known, indent=1))
    head = ["suite", "images", "clean, s", "s an image", "measured on", "minutes on two processors"]
    rows = [row(name, Cost(**known[name])) for name in given.suites]
    report("Processor time of the suites", tabulate(rows, head, disable_numparse=True), setting(1))


if __name__ == "__main__":
    main()
