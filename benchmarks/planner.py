"""A plan of 100,000 cells, and the commands on a finished suite: `python -m benchmarks.planner`.

- The time of the plan is compared with a lower bound: write the JSON of every job and compute its SHA-256. Processor
  time; memory is what the plan adds to the process.
- The finished suite is `transfer_table1` (7 sources x 2 attacks x 2 budgets x 7 targets x 100 images x 20 steps, three
  metrics, five tables) with random rows, since the time of the commands depends only on their number. Wall-clock time
  of complete commands, including start-up.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench_core import load_suite, run
from bench_core.digests import digest
from bench_core.executors import Outcome, Task
from bench_core.hookspecs import hookimpl
from bench_core.planning.plan import Plan, make_plan
from bench_core.registry import Origin, discover
from bench_core.reserved import EXAMINED, PREDICTED, RECORD
from bench_core.run_suite import resolve_suite
from bench_core.store import Store, pack
from bench_core.types import ExecutorRecipe
from benchmarks.large import large_suite, toy_registry
from benchmarks.side_by_side import compared, in_turns, report, setting

NOT_ADDRESSED = ("models", "observe")
FINISHED = "transfer_table1"


class RandomRows:
    """A plugin with the executor `drawn`, which draws the rows of every job at random."""

    @hookimpl
    def bench_executors(self) -> Mapping[str, ExecutorRecipe]:
        return {"drawn": ExecutorRecipe(lambda workers, registry: self, "random rows")}  # noqa: ARG005

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task in tasks:
            yield Outcome(task.address, pack(drawn(task.spec, int(task.address[:8], 16))))


def drawn(spec: Mapping[str, Any], seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Draw the rows of a job of a transfer suite.

    Every network classifies all clean images correctly, so that all images can be attacked.
    """
    generator, n = np.random.default_rng(seed), len(spec["batch"]["labels"])
    rows: dict[str, np.ndarray[Any, Any]] = {}
    for observed in spec["observe"]:
        name, row = {
            PREDICTED: ("predicted", np.asarray(spec["batch"]["labels"], np.int16)),
            EXAMINED: ("examined", np.ones(n, bool)),
            "clean_accuracy": ("correct", np.ones(n, bool)),
            "transfer": ("fooled", generator.random((n, spec.get("budget", {}).get("steps", 1))) < 0.5),
            "transfer_utility": ("utility", generator.normal(5, 3, n).astype(np.float32)),
        }[observed["metric"]["recipe"]]
        rows[f"{observed['key']}/{name}"] = row
    if spec["kind"] == "attack":
        names = ("linf", "l2", "forwards", "backwards", "margin", "margin_before", "margin_of_noise")
        rows |= {f"{RECORD}/{name}": generator.normal(9, 1, n).astype(np.float32) for name in names}
    return rows


def finish(out: Path) -> None:
    """Write a finished table 1 into `out`. Raises RuntimeError if cells are missing."""
    registry = discover()
    registry.register(RandomRows(), Origin("drawn", "benchmarks", "1", "drawn"))
    suite = load_suite(FINISHED)
    run(suite, out=out, registry=registry, executor="drawn")
    plan = make_plan(resolve_suite(suite), Store(out / "store"))
    if any(map(plan.missing, plan.jobs)):
        raise RuntimeError(f"{FINISHED} is not finished")


def planning(folder: Path, turns: int) -> None:
    registry = toy_registry()
    path = large_suite(folder, sources=20, attacks=10, targets=10, images=1000, micro_batch=20)

    def make() -> Plan:
        return make_plan(resolve_suite(load_suite(str(path)), registry), Store(folder / "store"))

    plan = make()
    addressed = [
        {key: value for key, value in job.job.to_json().items() if key not in NOT_ADDRESSED} for job in plan.jobs
    ]
    seconds = in_turns({"bench plan": make, "addresses alone": lambda: list(map(digest, addressed))}, turns)
    title = f"A plan of {plan.cells:,} cells in {len(plan.jobs):,} jobs"
    report(title, compared(seconds, "addresses alone"), f"memory of the plan: {peak_bytes(make) / 1e6:.0f} MB")


def running(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as folder:
        planning(Path(folder), turns)
        out = Path(folder) / "finished"
        finish(out)
        contestants = {
            f"bench {command}": running("-m", "bench_core.cli", command, FINISHED, "--out", str(out))
            for command in ("run", "show")
        } | {"bench --help": running("-m", "bench_core.cli", "--help")}
        seconds = in_turns(contestants, turns, time.perf_counter)
        report(f"A finished {FINISHED}, wall-clock time of a command", compared(seconds, "bench show"), setting(turns))


def peak_bytes(make: Callable[[], Plan]) -> int:
    """Return the peak of the bytes allocated while a plan is made."""
    gc.collect()
    tracemalloc.start()
    plan = make()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del plan
    return peak


if __name__ == "__main__":
    main()
