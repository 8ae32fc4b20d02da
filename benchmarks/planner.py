"""A plan of 100,000 cells, and a finished suite recognised and shown: `python -m benchmarks.planner`.

The plan's time stands beside that of the least any planner of addresses must do: making the JSON of every job and
taking its SHA-256. Processor time; memory is what the plan adds to the process.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import tracemalloc
from pathlib import Path

from bench_core import load_suite, run
from bench_core.digests import digest
from bench_core.plan import Plan
from bench_core.run import load_result, make_plan, make_planner
from bench_core.store import Store
from benchmarks.large import large_suite, toy_registry
from benchmarks.side_by_side import compared, in_turns, say, setting

ADDRESSED = ("ids", "labels", "targets", "seed", "environment", "host", "attack", "budget", "quantise", "source")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    registry = toy_registry()
    with tempfile.TemporaryDirectory() as folder:
        path = large_suite(Path(folder), sources=20, attacks=10, targets=10, images=1000, micro_batch=20)

        def planned() -> Plan:
            return make_plan(make_planner(load_suite(str(path)), registry), Store(Path(folder) / "store"))

        plan = planned()
        least = [{key: job.spec.get(key) for key in ADDRESSED} for job in plan.jobs]
        seconds = in_turns({"bench plan": planned, "addresses alone": lambda: list(map(digest, least))}, turns)
        title = f"A plan of {plan.cells:,} cells in {len(plan.jobs):,} jobs"
        say(title, compared(seconds, "addresses alone"), f"memory of the plan: {added(planned) / 1e6:.0f} MB")

        finished = Path(folder) / "finished"
        finished.mkdir()
        path = large_suite(finished, sources=14, attacks=2, targets=7, images=300, micro_batch=25, steps=20)
        suite = load_suite(str(path))
        first = run(suite, out=finished, registry=registry, executor="inline").folder
        contestants = {
            "bench run, nothing left to do": lambda: run(suite, out=finished, registry=registry, executor="inline"),
            "bench show": lambda: load_result(first, registry),
        }
        title = "A finished suite, 14 sources x 2 attacks x 7 targets x 300 images, beside the start of the program"
        say(title, compared(in_turns(contestants, turns), "bench show"), setting(turns))


def added(planned: object) -> int:
    """Give the bytes that stay while a plan is held, and those in passing, whichever is more."""
    assert callable(planned)
    gc.collect()
    tracemalloc.start()
    plan = planned()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del plan
    return most


if __name__ == "__main__":
    main()
