"""Computes jobs on a Ray cluster. Workers keep their models loaded and may be lost at any time."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from ..errors import Fault, UsageError, raised
from ..registry import Registry
from ..types import Json
from . import Outcome, Task
from .hardware import cpu_count
from .ray_cluster import LOCAL, Request, capacity, check_capacity, connect, first_line, import_ray, local_gpus
from .ray_shares import RayShares
from .ray_worker import RayWorker, differences, plugins
from .settings import worker_environment
from .tasks import POLL_SECONDS, TaskQueue

ATTEMPTS = 3  # a task during which this number of workers died is void
WAIT_SECONDS = 5.0
SHARE_SECONDS = 1.0  # between two looks at the shares of tasks that are done
NOTICE_SECONDS = 20.0  # without progress, until a notice is printed that workers wait for a free place


class Ray:
    """The executor `ray`: actors on the nodes of a cluster.

    Args:
        workers: The number of actors; by default as many as the cluster has room for.
        registry: The plugins of this machine; every worker must have the same.
        address: `local`, `auto` or HOST:PORT, as for `ray_cluster.connect`.
        cpus: The CPUs that each worker reserves; its threads by default.
        gpus: The GPUs that each worker reserves; by default 1 if the device is a GPU.
    """

    def __init__(
        self, workers: int | None, registry: Registry, address: str, cpus: float | None, gpus: float | None
    ) -> None:
        self.worker_count, self.address, self.cpus, self.gpus = workers, address, cpus, gpus
        self.plugins = plugins(registry)
        self.workers: list[Any] = []
        self.started: set[Any] = set()
        self.connected = False

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        if not tasks:
            return
        request = self.request(tasks[0].spec["environment"])
        self.open(request)
        scheduler = _Scheduler(self, request, tasks)
        try:
            yield from scheduler.outcomes()
        finally:
            scheduler.stop()

    def request(self, environment: Json) -> Request:
        """Return what a worker reserves. Raises UsageError for a device that ray cannot assign."""
        device, threads = environment["device"], environment["threads"]
        if device not in ("cpu", "cuda"):
            message = f'found "{device}", but ray chooses the GPU of each worker (try cuda)'
            raise UsageError(Fault("--device", "", message))
        gpus = self.gpus if self.gpus is not None else float(device == "cuda")
        return Request(self.cpus if self.cpus is not None else float(threads), gpus)

    def open(self, request: Request) -> None:
        """Connect to the cluster, once. Raises UsageError if it has no room for a worker."""
        if not self.connected:
            cpus = max(cpu_count(), math.ceil((self.worker_count or 0) * request.cpus))
            address = os.environ.get("RAY_ADDRESS", LOCAL) if self.address == LOCAL else self.address
            if address == LOCAL and not import_ray().is_initialized():  # so that no cluster is started in vain
                check_capacity([{"Alive": True, "Resources": {"CPU": cpus, "GPU": local_gpus()}}], request, LOCAL)
            self.connected = connect(address, cpus)
        check_capacity(import_ray().nodes(), request, self.address)

    def add_worker(self, request: Request, environment: Json) -> None:
        """Create a worker; ray starts it when the cluster has a place for it."""
        variables = {"env_vars": worker_environment(environment["threads"])}
        actor = import_ray().remote(RayWorker).options(
            num_cpus=request.cpus, num_gpus=request.gpus, runtime_env=variables, max_restarts=0
        )  # fmt: skip
        self.workers.append(actor.remote())

    def remove_worker(self, worker: Any) -> None:
        with suppress(Exception):
            import_ray().kill(worker)
        self.workers.remove(worker)
        self.started.discard(worker)

    def close(self) -> None:
        """Remove all workers, and disconnect from the cluster if this executor connected."""
        for worker in list(self.workers):
            self.remove_worker(worker)
        if self.connected:
            import_ray().shutdown()
            self.connected = False


class _Scheduler:
    """Distributes the tasks of one call of `run`, one at a time to each worker. A lost worker's task goes to another.

    `pending` maps the reference of each awaited result to its worker and task; the task is None for a worker's start.
    """

    def __init__(self, executor: Ray, request: Request, tasks: Sequence[Task]) -> None:
        self.ray, self.executor, self.request = import_ray(), executor, request
        self.spec = tasks[0].spec
        self.queue = TaskQueue.of(tasks)
        self.lost: deque[Task] = deque()
        self.deaths: Counter[str] = Counter()
        self.failed_starts = 0
        self.pending: dict[Any, tuple[Any, Task | None]] = {}
        self.shares: RayShares | None = None
        self.idle_seconds = 0.0
        self.notified = False

    def outcomes(self) -> Iterator[Outcome]:
        self.shares = RayShares(self.ray)
        room = self.executor.worker_count or capacity(self.ray.nodes(), self.request)
        count = min(room, len(self.queue))
        while len(self.executor.workers) < count:
            self.executor.add_worker(self.request, self.spec["environment"])
        while self.lost or not self.queue.exhausted or any(task for _, task in self.pending.values()):
            self.assign()
            if not self.pending:  # other runs compute what is left
                time.sleep(POLL_SECONDS)
                continue
            ready = self.wait()
            if not ready and self.no_node_left():
                reason = f"no node is left in the cluster that has {self.request}"
                yield from (Outcome(task.address, reason=reason) for task in (*self.lost, *self.queue.drain()))
                return
            for reference in ready:
                outcome = self.receive(reference)
                self.assign()  # so that the worker computes while the outcome is stored
                if outcome is not None:
                    yield outcome

    def wait(self) -> list[Any]:
        """Return what is ready within `WAIT_SECONDS`, and report the shares of the tasks meanwhile."""
        for _ in range(round(WAIT_SECONDS / SHARE_SECONDS)):
            ready, _ = self.ray.wait(list(self.pending), num_returns=1, timeout=SHARE_SECONDS)
            if self.shares:
                self.shares.report_to(self.queue.report)
            if ready:
                return list(ready)
        return []

    def assign(self) -> None:
        """Start the new workers, and pass each idle one its next task."""
        busy = {worker for worker, _ in self.pending.values()}
        environment = self.spec["environment"]
        for worker in self.executor.workers:
            if worker in busy:
                continue
            if worker not in self.executor.started:
                settings = environment["device"], environment["dtype"], environment["threads"]
                self.pending[worker.start.remote(*settings)] = worker, None
                continue
            task = self.lost.popleft() if self.lost else self.queue.take()
            if task is not None:
                self.pending[worker.compute.remote(task, self.shares and self.shares.actor)] = worker, task

    def receive(self, reference: Any) -> Outcome | None:
        """Return the outcome of a task. None if a worker has started, or if the task is retried.

        Raises UsageError if a worker cannot start, or would compute other results than planned.
        """
        worker, task = self.pending.pop(reference)
        try:
            content = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            reason = raised(error.cause)
            if task is None:
                raise UsageError(Fault("--executor ray", "", f"a worker cannot start: {reason}")) from None
            return Outcome(task.address, reason=reason)
        except self.ray.exceptions.RayError as error:
            self.replace(worker)
            if task is not None:
                return self.retry(task, error)
            self.count_failed_start(error)
            return None
        if task is None:
            messages = differences(content, self.spec, self.executor.plugins)
            if messages:
                raise UsageError(*(Fault("--executor ray", f"node {content.node}", message) for message in messages))
            self.executor.started.add(worker)
            return None
        outcome: Outcome = content
        return outcome

    def replace(self, worker: Any) -> None:
        """Remove a lost worker; add another if the cluster has room."""
        self.executor.remove_worker(worker)
        if capacity(self.ray.nodes(), self.request) > len(self.executor.workers):
            self.executor.add_worker(self.request, self.spec["environment"])

    def count_failed_start(self, error: Exception) -> None:
        """Raise UsageError if bench is not installed on a node, or if too many workers died at their start."""
        if "ModuleNotFoundError" in str(error):
            message = "a worker cannot import bench; install the same release of it on every node"
            raise UsageError(Fault("--executor ray", "", message))
        self.failed_starts += 1
        if self.failed_starts > ATTEMPTS * (self.executor.worker_count or 1):
            raise UsageError(Fault("--executor ray", "", f"workers do not start: {first_line(error)}"))

    def retry(self, task: Task, error: Exception) -> Outcome | None:
        """Queue a lost worker's task again; return a failed outcome if it has killed too many workers."""
        self.deaths[task.address] += 1
        if self.deaths[task.address] >= ATTEMPTS:
            reason = f"the worker process died {ATTEMPTS} times ({first_line(error)})"
            return Outcome(task.address, reason=reason, died=True)
        self.lost.append(task)
        return None

    def no_node_left(self) -> bool:
        """Return whether no node can compute any more. Print a notice, once, if all workers wait for a place."""
        if any(task for _, task in self.pending.values()):
            return False
        if not capacity(self.ray.nodes(), self.request):
            return True
        self.idle_seconds += WAIT_SECONDS
        if self.idle_seconds >= NOTICE_SECONDS and not self.notified:
            self.notified = True
            message = f"{len(self.pending)} workers wait for a free place on the cluster (each asks for {self.request})"
            print(f"bench: ray: {message}", file=sys.stderr, flush=True)
        return False

    def stop(self) -> None:
        """Remove the workers that still compute, since nobody reads their results."""
        for worker, _ in self.pending.values():
            self.executor.remove_worker(worker)
        self.pending.clear()
        if self.shares:
            self.shares.close()
