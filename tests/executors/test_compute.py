"""The most expensive jobs come first; only failures to store results are reported as such."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench_core.errors import Incomplete
from bench_core.executors import Outcome, Task
from bench_core.executors.dispatch import Dispatcher
from bench_core.progress import Silent
from bench_core.registry import Registry
from bench_core.store import Store
from tests.planning.made import planned_attack


class Recorder:
    """Records the order of the tasks, and returns for each a bundle without content."""

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


def test_the_most_expensive_jobs_come_first_and_equal_ones_in_the_order_of_the_plan(tmp_path: Path) -> None:
    executor = Recorder()
    Dispatcher(Store(tmp_path), executor, Silent(), Registry()).compute("attacks", JOBS)
    assert executor.order == [JOBS[place].address for place in (1, 3, 4, 0, 2)]


def test_a_full_disk_is_reported_as_such_and_no_other_failure_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(*_: object) -> None:
        raise OSError(28, "No space left on device")

    disconnected = Recorder(ConnectionError("the cluster is gone"))
    with pytest.raises(ConnectionError, match="the cluster is gone"):
        Dispatcher(Store(tmp_path), disconnected, Silent(), Registry()).compute("attacks", JOBS)
    monkeypatch.setattr(Store, "put", put)
    with pytest.raises(Incomplete, match=r"cannot keep results in .*: No space left on device"):
        Dispatcher(Store(tmp_path), Recorder(), Silent(), Registry()).compute("attacks", JOBS)
