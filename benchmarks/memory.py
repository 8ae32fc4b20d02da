"""Peak memory of a run against its steps and images, and of a worker under `--memory`: `python -m benchmarks.memory`.

PGD on an embedded network, in one process that plans, computes, stores and scores. The peak is the kernel's figure. The
stored outcomes grow (one boolean per image, step and target); the images of the steps do not, since they are not kept.

Then a worker at 224 pixels: two steps of one image with the networks of the profile imagenet-lite, with three targets.
IR with 32 samples passes 65 inputs in each step, whose activations are all needed for one gradient. Where they do not
fit, they are computed again in the backward pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load
from tabulate import tabulate

from bench_core import load_suite
from bench_core.errors import Fault, UsageError
from bench_core.executors import Task
from bench_core.executors.calibrate import peak_memory
from bench_core.executors.local import WorkerProcess
from bench_core.planning.jobs import AttackJob, PlannedJob
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import first_images
from bench_core.run_suite import resolve_suite
from benchmarks.host import SUITE
from benchmarks.side_by_side import report, setting

SIZES = ((5, 40), (40, 40), (5, 320), (40, 320))
SOURCES = ("Lite0", "Lite2")
LIMITS = (None, 2048, 1400)  # MiB
CODE = """
import resource, sys
from bench_core import load_suite, run
suite = load_suite(sys.argv[1])
run(suite, out=sys.argv[2], executor="inline")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_of_a_run(steps: int, images: int) -> float:
    """Return the peak resident memory in MB."""
    text = SUITE.replace("steps = 20", f"steps = {steps}").replace("count = 100", f"count = {images}")
    text = "\n".join(line for line in text.splitlines() if not line.startswith('"IR"'))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.toml"
        path.write_text(text)
        command = [sys.executable, "-c", CODE, str(path), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    kilobytes = int(done.stdout.split()[-1])
    return kilobytes / (1e6 if sys.platform == "darwin" else 1e3)


def jobs_at_224() -> Iterator[tuple[str, PlannedJob]]:
    """Yield jobs of one image and two steps. Raises UsageError without the extra imagenet-lite."""
    overrides = ["attacks.IR.samples=32", f"sources={list(SOURCES)}".replace("'", '"')]
    resolved = resolve_suite(load_suite("transfer_table1", "imagenet-lite", overrides))
    if resolved.images is None:
        raise UsageError(Fault("benchmarks.memory", "", resolved.data_missing or "no images"))
    seen = set()
    for planned in selected_jobs(resolved, first_images(resolved)):
        name = f"{planned.labels['attack']} on {planned.labels['source']}" if "attack" in planned.labels else ""
        if name and name not in seen and isinstance(planned.job, AttackJob):
            seen.add(name)
            budget = replace(planned.job.budget, steps=2)
            yield name, replace(planned, job=replace(planned.job, batch=planned.job.batch.take(1), budget=budget))


def of_workers() -> list[list[str]]:
    """Return a row for each job and limit: the worker's peak in MiB, the seconds, and whether the rows are the same."""
    rows, first = [], {}
    for name, planned in jobs_at_224():
        for limit in LIMITS:
            wanted = tuple(sorted(cell.key for cell in planned.cells))
            task = Task("", planned.job.to_json(), wanted, memory=limit and limit * 2**20)
            with WorkerProcess() as worker:
                started = time.perf_counter()
                outcome = worker.compute(task)
                assert worker.process
                seconds, peak = time.perf_counter() - started, peak_memory(worker.process.pid)
            if outcome.bundle is None:
                rows.append([name, f"{limit} MiB", outcome.reason or "failed"])
                continue
            found = load(outcome.bundle)
            first.setdefault(name, found)
            same = all(np.array_equal(found[key], first[name][key], equal_nan=True) for key in found)
            shown = "none" if limit is None else f"{limit} MiB"
            rows.append([name, shown, f"{peak / 2**20:.0f}", f"{seconds:.1f}", "yes" if same else "rounded"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    peaks = {size: peak_of_a_run(*size) for size in SIZES}
    least = peaks[SIZES[0]]
    rows = [[steps, images, f"{peak:.0f}", f"{peak / least:.3f}"] for (steps, images), peak in peaks.items()]
    head = ["steps", "images", "peak, MB", "times the first"]
    report("Peak memory of a run", tabulate(rows, head, disable_numparse=True), setting(1))
    try:
        rows = of_workers()
    except UsageError as error:
        print(f"no worker at 224 pixels: {error}")
        return
    head = ["2 steps of 1 image", "--memory", "peak, MiB", "seconds", "same rows"]
    report("Peak memory of a worker at 224 pixels", tabulate(rows, head, disable_numparse=True), setting(1))


if __name__ == "__main__":
    main()
