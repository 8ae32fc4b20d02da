"""Progress moves within a job: the share that is done, never backwards, and exactly to the total."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench_core import run
from bench_core.executors import Outcome, Task, shares
from bench_core.executors.dispatch import Dispatcher
from bench_core.executors.inline import Inline
from bench_core.executors.local import Local
from bench_core.executors.shares import StageShares, Throttled
from bench_core.executors.tasks import TaskQueue
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import first_images
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.store import Store, pack
from bench_core.suite.load import load_suite
from tests.commands.test_cli import GOOD

from .test_workers import at_start, task  # noqa: F401

STEPS = 4  # of the toy suite

# A worker that reports a half, and then answers or dies. What it reports is not throttled.
REPORTING = """
import os, json, sys
if "bench_core.executors.worker" in " ".join(sys.orig_argv):
    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        for share in task["spec"]["shares"]:
            print(json.dumps({"share": share}), flush=True)
        if task["spec"].get("dies"):
            os._exit(3)
        print(json.dumps({"reason": "done", "usage": False, "size": None, "network": None}), flush=True)
    os._exit(0)
"""


class Recorded:
    """Records the amounts that each stage is advanced by."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, float, list[float]]] = []

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Callable[[float], None]]:
        amounts: list[float] = []
        self.stages.append((name, total, amounts))
        yield amounts.append

    def check(self) -> None:
        """Fail unless every stage moved forwards only, and exactly to its total."""
        for name, total, amounts in self.stages:
            assert min(amounts) > 0, name
            assert sum(amounts) == total, name


@pytest.fixture
def every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a job in this process report each of its steps, however fast they are."""
    monkeypatch.setattr(shares, "REPORT_SECONDS", 0.0)


@pytest.fixture
def jobs(write_suite, registry: Registry):
    resolved = resolve_suite(load_suite(write_suite()), registry)
    return [job for job in selected_jobs(resolved, first_images(resolved)) if "attack" in job.labels]


def test_a_job_in_this_process_reports_each_step(every_report, jobs, registry: Registry) -> None:
    seen: list[tuple[str, float]] = []
    tasks = [Task(job.address, job.job.to_json(), tuple(cell.key for cell in job.cells)) for job in jobs]
    queue = TaskQueue(tasks, report=lambda address, share: seen.append((address, share)))
    outcomes = list(Inline(registry).run(queue))
    assert all(outcome.bundle for outcome in outcomes)
    assert seen == [(each.address, step / STEPS) for each in tasks for step in range(1, STEPS + 1)]


def test_reports_change_no_row(every_report, jobs, registry: Registry) -> None:
    tasks = [Task(job.address, job.job.to_json(), tuple(cell.key for cell in job.cells)) for job in jobs]
    silent = [outcome.bundle for outcome in Inline(registry).run(tasks)]
    reported = [
        outcome.bundle for outcome in Inline(registry).run(TaskQueue(tasks, report=lambda _address, _share: None))
    ]
    assert silent == reported


def test_the_shares_of_a_stage_add_up_to_its_total(every_report, jobs, registry: Registry, tmp_path: Path) -> None:
    recorded = Recorded()
    Dispatcher(Store(tmp_path / "store"), Inline(registry), recorded, registry).compute("attacks", jobs)
    recorded.check()
    ((_, _, amounts),) = recorded.stages
    assert len(amounts) > len(jobs), "the stage moved within jobs"


def test_worker_processes_report_shares_in_order(at_start) -> None:  # noqa: F811
    at_start(REPORTING)
    seen: list[tuple[str, float]] = []
    executor = Local(2)
    tasks = [task("a", shares=[0.25, 0.5]), task("b", shares=[0.125])]
    addresses = [
        outcome.address
        for outcome in executor.run(TaskQueue(tasks, report=lambda address, share: seen.append((address, share))))
    ]
    executor.close()
    assert sorted(addresses) == ["a", "b"]
    assert [share for address, share in seen if address == "a"] == [0.25, 0.5]
    assert [share for address, share in seen if address == "b"] == [0.125]


def test_a_real_worker_process_reports(tmp_path: Path) -> None:
    suite = tmp_path / "small.toml"
    suite.write_text(GOOD)
    recorded = Recorded()
    run(str(suite), out=tmp_path, workers=1, progress=recorded)
    recorded.check()
    assert any(len(amounts) > 1 for _, _, amounts in recorded.stages), "the first report of a job is never dropped"


def test_a_worker_that_dies_midway_leaves_the_stage_right(at_start) -> None:  # noqa: F811
    at_start(REPORTING)
    amounts: list[float] = []
    stage = StageShares({"dies": 10.0, "lives": 6.0}, amounts.append)
    executor = Local(1)
    tasks = [task("dies", shares=[0.5], dies=True), task("lives", shares=[0.5])]
    for outcome in executor.run(TaskQueue(tasks, report=stage.report)):
        assert outcome.died == (outcome.address == "dies")
        stage.finish(outcome.address)
    executor.close()
    assert amounts == [5.0, 5.0, 3.0, 3.0]


class Restarting:
    """An executor that loses its first worker at each task midway, and fails at whatever has more than its record."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        queue = TaskQueue.of(tasks)
        for each in queue.drain():
            for share in (0.25, 0.75, 0.25, 0.5, 1.0):
                queue.report(each.address, share)
            if len(each.wanted) > 1:
                yield Outcome(each.address, reason="died", died=True)
            else:
                yield Outcome(each.address, pack({f"{each.wanted[0]}/row": [0.0]}))


def test_a_retry_counts_nothing_twice(jobs, registry: Registry, tmp_path: Path) -> None:
    recorded = Recorded()
    Dispatcher(Store(tmp_path / "store"), Restarting(), recorded, registry).compute("attacks", jobs)
    assert [name for name, _, _ in recorded.stages[:2]] == ["attacks", "attacks, retry without metrics"]
    recorded.check()


@pytest.mark.parametrize("silly", [math.nan, -1.0, 0.0, math.inf, 2.0])
def test_no_report_moves_a_stage_past_a_job_or_back(silly: float) -> None:
    amounts: list[float] = []
    stage = StageShares({"a": 7.0}, amounts.append)
    stage.report("a", 0.3)
    stage.report("a", silly)
    stage.report("unknown", 0.5)
    stage.finish("a")
    stage.report("a", 0.5)
    stage.finish("a")
    assert sum(amounts) == 7.0
    assert min(amounts) > 0


def test_a_job_reports_at_once_and_then_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(shares.time, "monotonic", lambda: now[0])
    seen: list[float] = []
    throttled = Throttled(seen.append)
    for step in range(100):
        now[0] = step / 100
        throttled(step)
    assert seen == [0, 25, 50, 75]
