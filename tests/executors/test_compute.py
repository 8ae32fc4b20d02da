"""The dearest jobs are handed out first; only what keeping results raises is said to be that."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench_core.executors import Outcome, Task
from bench_core.executors.dispatch import Dispatcher, Incomplete
from bench_core.progress import Silent
from bench_core.registry import Registry
from bench_core.store import Store
from tests.planning.made import planned_attack


class Listed:
    """Notes the order of the tasks, and gives for each a bundle that is none."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.order: list[str] = []
        self.fault = fault

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        if self.fault:
            raise self.fault
        for task in tasks:
            self.order.append(task.address)
            yield Outcome(task.address, b"")


JOBS = [planned_attack(image, cost=(cost, cost)) for image, cost in zip("abcde", (1, 9, 1, 9, 5), strict=True)]


def test_the_dearest_jobs_come_first_and_equals_in_the_order_of_the_plan(tmp_path: Path) -> None:
    by = Listed()
    Dispatcher(Store(tmp_path), by, Silent(), Registry()).compute("attacks", JOBS)
    assert by.order == [JOBS[place].address for place in (1, 3, 4, 0, 2)]


def test_a_disk_that_is_full_is_told_and_what_else_fails_is_not_said_to_be_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(*_: object) -> None:
        raise OSError(28, "No space left on device")

    away = Listed(ConnectionError("the cluster is gone"))
    with pytest.raises(ConnectionError, match="the cluster is gone"):
        Dispatcher(Store(tmp_path), away, Silent(), Registry()).compute("attacks", JOBS)
    monkeypatch.setattr(Store, "put", put)
    with pytest.raises(Incomplete, match=r"cannot keep results in .*: No space left on device"):
        Dispatcher(Store(tmp_path), Listed(), Silent(), Registry()).compute("attacks", JOBS)
