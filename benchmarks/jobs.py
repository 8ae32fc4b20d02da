"""What the host adds to each job, in milliseconds: `python -m benchmarks.jobs`.

PGD with one step attacks a network that does nothing, observed by one metric on one target, in jobs of 5 images. A
bare loop computes the same rows, but checks, counts and stores nothing. Its time is the first column. An attack takes
several jobs as one batch, as on a GPU. One process does all, and its time has two parts. What is added in the task is
the time of a worker minus that of the bare loop: its checks, diagnostics and records, which a GPU computes itself, and
what else a worker does. The driver's is all else of the stage: to find what is stored, to hand out tasks, to take their
results apart and to store them. Planning and scoring are not counted. Processor time is measured with the results in
memory, if the system has a file system there, since what a disk takes depends on what else it does; the driver's
wall-clock time with the results on the disk. Every turn attacks with another eps, so that nothing is stored of it.

The last column is the wall-clock time that a worker process waits between two tasks, while its driver stores.

The second table is a lower bound: what any host does with the rows of a job that it keeps, without checks, addresses or
digests. They are appended to a file that stays open. 1% of a job of 0.2 ms is 2 us. The last lines are what the file
system takes for a folder and a file for each job, and the store, which writes jobs that are computed together as one
file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from tabulate import tabulate

from bench_core import load_suite, run
from bench_core.executors import inline, local
from bench_core.executors.dispatch import Dispatcher
from bench_core.executors.settings import worker_environment
from bench_core.planning.jobs import AttackJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import Selection
from bench_core.registry import Registry, discover
from bench_core.run_suite import resolve_suite
from bench_core.store import Store, pack
from bench_core.suite.model import Suite
from bench_core.types import Step
from bench_core.worker.build import Builder
from bench_core.worker.loading import Loader
from bench_core.worker.streams import ImageStreams
from benchmarks.side_by_side import Clock, in_turns, report, setting

IMAGES, SIZE = 400, 5
JOBS = IMAGES // SIZE
STORED_JOBS = 200  # of the lower bound
MEMORY = Path("/dev/shm")
# a worker that notes how long it waits for each of its tasks but the first
WORKER = """
import sys, time
from bench_core.executors import worker

attempt, ended, waits = worker.attempt, [], open(sys.argv[1], "a", buffering=1)

def noted(*given):
    if ended:
        print(time.perf_counter() - ended.pop(), file=waits)
    try:
        return attempt(*given)
    finally:
        ended.append(time.perf_counter())

worker.attempt = noted
worker.main()
"""
NETWORK = """
from torch import nn

class Nothing(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :10]

def build():
    return Nothing()
"""
SUITE = """
title = "jobs"
profiles = ["embedded"]
images = { count = IMAGES, rule = "all" }
compute = { micro_batch = SIZE, together = TOGETHER }
models.nothing = { recipe = "python", file = "FOLDER/nothing.py:build" }
budgets.linf = { norm = "linf", eps = 0.1, step_size = 0.1, steps = 1 }
attacks.PGD = { recipe = "pgd" }
metrics.transfer = { recipe = "transfer" }
on.embedded = { sources = ["nothing"], targets = ["nothing"] }
[[tables]]
name = "main"
rows = ["source", "attack", "budget"]
columns = ["target"]
value = "transfer.success"
format = "percent"
"""


def bare(jobs: Sequence[AttackJob], registry: Registry) -> None:
    """Compute the rows of jobs, each over all images of its group."""
    builder, loader = Builder(registry), Loader(registry)
    for job in jobs:
        examples = loader.examples(job.batch, "cpu")
        attack, source = builder.attack(job.attack, job.budget), builder.source(job, "float32")
        (observed,) = job.observe
        metric, target = builder.metric(observed.metric), builder.model(job.models[observed.target or ""], "cpu")
        for index, images in enumerate(attack(source, examples, ImageStreams(0, examples.ids)), 1):
            with torch.no_grad():
                metric.observe(step=Step(index, images), clean=examples, target=target)["fooled"].cpu().numpy()


def suite_of(folder: Path, together: int) -> Suite:
    """Write the suite whose attacks take `together` images at once."""
    (folder / "nothing.py").write_text(NETWORK)
    path, text = folder / "jobs.toml", SUITE.replace("FOLDER", str(folder))
    for name, value in {"IMAGES": IMAGES, "SIZE": SIZE, "TOGETHER": together}.items():
        text = text.replace(name, str(value))
    path.write_text(text)
    return load_suite(str(path))


def with_other_eps(suite: Suite, turns: Sequence[int]) -> Suite:
    """Return the suite with a budget for each of some turns, whose results are those of no other turn."""
    budget = suite.budgets["linf"]
    others = {f"linf {turn}": budget.model_copy(update={"eps": budget.eps + 1e-6 * turn}) for turn in turns}
    return suite.model_copy(update={"budgets": others})


def contestants(folder: Path, together: int, registry: Registry) -> dict[str, Callable[[], object]]:
    """Return the bare loop and bench, which attack `together` images at once."""
    suite, out, turns = suite_of(folder, together), folder / str(together), count(1)
    selected = run(suite, out=out, registry=registry, executor="inline", device="cpu").selected
    resolved = resolve_suite(suite, registry, device="cpu")
    assert resolved.images is not None
    selection = Selection(tuple(selected), tuple(resolved.images.ids[place] for place in selected))
    planned = selected_jobs(resolved, selection)
    whole = {job.job.whole().address(): job.job.whole() for job in planned if isinstance(job.job, AttackJob)}

    def by_bench() -> None:
        other = with_other_eps(suite, [next(turns)])
        run(other, out=out, registry=registry, executor="inline", device="cpu")

    return {"bare": lambda: bare(list(whole.values()), registry), "bench": by_bench}


def timed(function: Callable[..., Any], seconds: list[float], clock: Clock) -> Callable[..., Any]:
    """Return the function, which appends the time of each call to a list."""

    def call(*given: Any, **named: Any) -> Any:
        start = clock()
        try:
            return function(*given, **named)
        finally:
            seconds.append(clock() - start)

    return call


def host_parts(
    where: Path | None, together: int, registry: Registry, turns: int, clock: Clock
) -> tuple[float, float, float]:
    """Return medians in ms a job: of the bare loop, of what is added in a task, and of the driver."""
    tasks, stages, parts = list[float](), list[float](), list[tuple[float, float]]()
    with (
        tempfile.TemporaryDirectory(dir=where) as folder,
        patch.object(inline, "attempt", timed(inline.attempt, tasks, clock)),
        patch.object(Dispatcher, "compute", timed(Dispatcher.compute, stages, clock)),
    ):
        both = contestants(Path(folder), together, registry)

        def by_bench() -> None:
            tasks.clear()
            stages.clear()
            both["bench"]()
            parts.append((sum(tasks), sum(stages) - sum(tasks)))

        loop = in_turns({"bare": both["bare"], "bench": by_bench}, turns, clock)["bare"]
    added = [task - least for (task, _), least in zip(parts[1:], loop, strict=True)]  # the first turn is not counted
    of_driver = [driver for _, driver in parts[1:]]
    return tuple(1000 * statistics.median(each) / JOBS for each in (loop, added, of_driver))  # type: ignore[return-value]


def waiting(folder: Path, together: int, registry: Registry) -> float:
    """Return the median of the seconds that a worker waits between two tasks."""
    noted, turns = folder / "waits", range(1 + together // 20)  # more attacks, if each has fewer tasks
    suite = with_other_eps(suite_of(folder, together), turns)

    def start(threads: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(noted)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **worker_environment(threads)}, start_new_session=True,
        )  # fmt: skip

    with patch.object(local, "start_worker", start):
        run(suite, out=folder / "out", registry=registry, executor="local", workers=1, device="cpu")
    tasks = len(turns) * IMAGES // together
    return statistics.median([float(line) for line in noted.read_text().split()][1 - tasks :])


def storing(folder: Path, jobs: int) -> dict[str, Callable[[], object]]:
    """Return ways to keep the rows of `jobs` jobs, each with one bool an image: from raw bytes to lines of JSON."""
    fooled = np.arange(SIZE) % 2 == 0
    images = [f"image {place}" for place in range(SIZE)]

    def appended(name: str, content: Callable[[], bytes], durable: bool) -> Callable[[], object]:
        def append() -> None:
            with (folder / name).open("ab", buffering=0) as file:
                for _ in range(jobs):
                    file.write(content())  # without a buffer: flushed to the system
                    if durable:
                        os.fsync(file.fileno())

        return append

    def lines() -> bytes:
        rows = [
            {"image": image, "step": 1, "fooled": value} for image, value in zip(images, fooled.tolist(), strict=True)
        ]
        return "".join(json.dumps(row) + "\n" for row in rows).encode()

    bundle, names = pack({"cell/fooled": fooled}), (f"{number:064x}" for number in count())
    of_store = Store(folder / "store")

    def files() -> None:
        for name in islice(names, jobs):
            path = folder / name
            path.mkdir()
            with (path / "unfinished").open("wb", buffering=0) as file:
                file.write(bundle)
                os.fsync(file.fileno())
            (path / "unfinished").rename(path / "bundle")
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def one_by_one() -> None:
        for name in islice(names, jobs):
            of_store.put(name, bundle)

    return {
        "raw bytes, handed to the system": appended("bytes", fooled.tobytes, False),
        "rows as lines of JSON, handed to the system": appended("lines", lines, False),
        "raw bytes, on the disk (fsync)": appended("bytes on disk", fooled.tobytes, True),
        "rows as lines of JSON, on the disk (fsync)": appended("lines on disk", lines, True),
        "a folder and a file, on the disk": files,
        "the store, one job at a time": one_by_one,
        f"the store, {jobs} jobs at once": lambda: of_store.put_all(dict.fromkeys(islice(names, jobs), bundle)),
    }


def report_least(turns: int) -> None:
    """Print the lower bound. Its folder is where the store of the first table is, on the same disk."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = in_turns(storing(Path(folder), STORED_JOBS), turns, time.perf_counter)
    rows = [[name, f"{1e6 * statistics.median(each) / STORED_JOBS:.1f}"] for name, each in seconds.items()]
    table = tabulate(rows, ["", "us a job, wall clock"], disable_numparse=True, colalign=["left", "right"])
    report(f"Lower bound: keeping the rows of a job of {SIZE} images", table, setting(turns) + "; one thread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--least", action="store_true", help="only the lower bound")
    given = parser.parse_args()
    turns = given.turns
    torch.set_num_threads(1)
    if given.least:
        report_least(turns)
        return
    registry, rows = discover(), []
    memory = MEMORY if MEMORY.is_dir() else None
    for together in (SIZE, 10 * SIZE, IMAGES):
        bare_ms, added, driver = host_parts(memory, together, registry, turns, time.process_time)
        _, _, driver_on_disk = host_parts(None, together, registry, turns, time.perf_counter)
        with tempfile.TemporaryDirectory() as folder:
            waits = 1000 * waiting(Path(folder), together, registry) * SIZE / together
        times = [f"{ms:.3f}" for ms in (bare_ms, added, driver, driver_on_disk)]
        rows.append([str(together // SIZE), *times, f"{waits:.4f}"])
    names = ["jobs at once", "bare loop", "added in the task", "driver", "driver, on the disk", "a worker waits"]
    table = tabulate(rows, names, disable_numparse=True, colalign=["right"] * len(names))
    report(f"ms a job, {JOBS} jobs of {SIZE} images", table, setting(turns) + "; one thread")
    report_least(turns)


if __name__ == "__main__":
    main()
