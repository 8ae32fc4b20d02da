"""A failed job is tried again in parts, until only the cells of what failed are void."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bench_core.executors import Outcome, Task
from bench_core.executors.dispatch import Dispatcher
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import first_images
from bench_core.progress import Silent
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.store import Store, pack
from bench_core.suite.load import load_suite

METRICS = 'utility = { recipe = "transfer_utility" }\nclean = {'


class Pretending:
    """An executor whose tasks fail if they want a cell of the wrong target, or of the wrong metric."""

    def __init__(self, target: str = "", metric: str = "", **known: object) -> None:
        self.target, self.metric, self.known = target, metric, known

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task in tasks:
            cells = [each for each in task.spec["observe"] if each["key"] in task.wanted]
            if any(each["target"] == self.target or each["metric"]["recipe"] == self.metric for each in cells):
                yield Outcome(task.address, reason="failed", **self.known)
            else:
                yield Outcome(task.address, pack({f"{key}/row": np.zeros(len(task.wanted)) for key in task.wanted}))


@pytest.mark.parametrize("metrics", ["clean = {", METRICS], ids=["one metric", "two metrics"])
@pytest.mark.parametrize(
    ("executor", "targets", "recipes"),
    [
        (Pretending("B", network="B"), {"B"}, {"transfer", "utility"}),
        (Pretending("B", died=True), {"B"}, {"transfer", "utility"}),
        (Pretending(metric="transfer"), {"A", "B", "C"}, {"transfer"}),
        (Pretending(metric="transfer", network="B"), {"A", "B", "C"}, {"transfer"}),  # which was accused wrongly
    ],
    ids=["a network that is known", "a network that crashes", "a metric", "a metric that blames a network"],
)
def test_only_the_cells_of_what_failed_are_void(
    executor: Pretending, targets: set[str], recipes: set[str], metrics: str, registry: Registry, write_suite,
    tmp_path: Path,
) -> None:  # fmt: skip
    suite = write_suite(
        ("clean = {", metrics),
        ('"A" = {', '"C" = { recipe = "toy", seed = 3 }\n"A" = {'),
        ('targets = ["A", "B"]', 'targets = ["A", "B", "C"]'),
        ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'),
    )
    resolved = resolve_suite(load_suite(suite), registry)
    jobs = [job for job in selected_jobs(resolved, first_images(resolved)) if "attack" in job.labels]
    _, reasons = Dispatcher(Store(tmp_path / "store"), executor, Silent(), registry).compute("attacks", jobs)
    expected = {
        (job.address, cell.key)
        for job in jobs
        for cell in job.cells
        if cell.target in targets and cell.metric in recipes
    }
    assert set(reasons) == expected


def test_a_stage_that_is_stopped_after_a_round_retries_its_failures_and_computes_no_later_round(
    registry: Registry, write_suite, tmp_path: Path
) -> None:
    suite = write_suite(('sources = ["A", ["A", "B"]]', 'sources = ["A"]'))  # a job for each of three rounds
    resolved = resolve_suite(load_suite(suite), registry)
    jobs = [job for job in selected_jobs(resolved, first_images(resolved)) if "attack" in job.labels]
    assert [job.round for job in jobs] == [0, 1, 2]
    wanted: list[str] = []

    class Failing(Pretending):
        def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
            for task, outcome in zip(tasks, super().run(tasks), strict=True):
                wanted.append(task.address)
                yield outcome

    dispatcher = Dispatcher(Store(tmp_path / "store"), Failing("B", network="B"), Silent(), registry)
    rows, reasons = dispatcher.compute("attacks", jobs, lambda complete, *_: complete >= 2)
    assert set(wanted) == {job.address for job in jobs[:2]}
    assert {address for address, _ in reasons} == set(wanted)
    for job in jobs[:2]:
        assert {cell.key for cell in job.cells if cell.target != "B"} <= set(rows[job.address])
    assert not rows[jobs[2].address]
