"""Ray without a cluster: what a node can hold, which workers are rejected, and when a task or a run is given up."""

import os
from types import SimpleNamespace

import pytest

from bench_core.errors import UsageError
from bench_core.executors import Outcome, Task
from bench_core.executors import ray as ray_module
from bench_core.executors.ray import Ray, _Scheduler
from bench_core.executors.ray_cluster import Request, capacity
from bench_core.executors.ray_worker import WorkerInfo, differences
from bench_core.registry import Registry

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # before ray is imported: these tests have no token
ray = pytest.importorskip("ray")


def test_the_capacity_is_counted_per_node() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 5.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 64.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert capacity(nodes, Request(cpus=2, gpus=0)) == 2 + 32
    assert capacity(nodes, Request(cpus=0.5, gpus=0.1)) == 10
    assert capacity(nodes, Request(cpus=1, gpus=2)) == 1
    assert capacity(nodes, Request(cpus=6, gpus=1)) == 0


def test_a_worker_with_other_code_or_libraries_is_rejected() -> None:
    spec = {"environment": {"torch": "2.15", "device": "cpu"}, "host": "a"}
    wanted = {"attacks": "1", "mine": "2"}
    assert differences(WorkerInfo("n", "a", spec["environment"], wanted | {"more": "3"}, {}), spec, wanted) == []
    found = WorkerInfo("n", "b", {"torch": "2.14", "device": "cpu"}, {"attacks": "9"}, {"mine": "needs x"})
    torch, host, attacks, mine = differences(found, spec, wanted)
    assert torch == "torch is 2.14 there and 2.15 here"
    assert "own code" in host
    assert "attacks has different code" in attacks
    assert "(needs x)" in mine


def executor(workers: int | None = None) -> Ray:
    return Ray(workers, Registry(), "local", None, None)


def test_a_task_that_kills_several_workers_is_void() -> None:
    tasks = [Task("a", {}, ()), Task("b", {}, ())]
    scheduler = _Scheduler(executor(), Request(1, 0), tasks)
    lost = ray.exceptions.RayError("the actor died\nand much more")
    assert [scheduler.retry(tasks[0], lost), scheduler.retry(tasks[0], lost)] == [None, None]
    assert scheduler.retry(tasks[1], lost) is None, "each task is counted separately"
    assert list(scheduler.lost) == [tasks[0], tasks[0], tasks[1]]
    assert scheduler.retry(tasks[0], lost) == Outcome(
        "a", reason="the worker process died 3 times (the actor died)", died=True
    )


@pytest.mark.parametrize(("workers", "allowed"), [(None, 3), (2, 6)])
def test_workers_that_die_at_their_start_end_the_run(workers: int | None, allowed: int) -> None:
    scheduler = _Scheduler(executor(workers), Request(1, 0), [Task("a", {}, ())])
    lost = ray.exceptions.RayError("the actor died")
    for _ in range(allowed):
        scheduler.count_failed_start(lost)
    with pytest.raises(UsageError, match=r"^--executor ray: workers do not start: the actor died$"):
        scheduler.count_failed_start(lost)
    with pytest.raises(UsageError, match="install the same release"):
        scheduler.count_failed_start(ray.exceptions.RayError("ModuleNotFoundError: No module named 'bench_core'"))


def test_without_tasks_no_cluster_is_started_and_closing_twice_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("started"))
    unused = executor()
    assert list(unused.run([])) == []
    unused.close()
    unused.close()


class _Actor:
    """A worker of a cluster that does not exist: a result is there as soon as it is asked for."""

    def __init__(self, events: list[str]) -> None:
        self.events, self.compute = events, self

    def remote(self, task: Task, _collector: object) -> Outcome:
        self.events.append(f"{task.address} begins")
        return Outcome(task.address)


def test_a_worker_gets_its_next_task_before_a_result_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    ours = executor(1)
    ours.workers.append(_Actor(events))
    ours.started.add(ours.workers[0])
    scheduler = _Scheduler(ours, Request(1, 0), [Task(address, {"environment": {}}, ()) for address in "abc"])
    monkeypatch.setattr(ray_module, "RayShares", lambda _ray: None)
    cluster = SimpleNamespace(
        nodes=list, wait=lambda pending, **_: (pending[:1], []), get=lambda outcome: outcome, exceptions=ray.exceptions
    )
    scheduler.ray = cluster
    for outcome in scheduler.outcomes():
        events.append(f"{outcome.address} is stored")
    assert events == ["a begins", "b begins", "a is stored", "c begins", "b is stored", "c is stored"]
