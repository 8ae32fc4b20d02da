"""Computes jobs on a Ray cluster. Its workers keep models warm and may be lost any moment; only the driver writes."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from ..errors import Fault, UsageError, raised
from ..registry import Registry
from . import Outcome, Task
from .hardware import cpu_count
from .ray_cluster import LOCAL, Request, check_room, connect, first_line, gpus_here, room, the_ray
from .ray_worker import Hand, differences, plugins
from .settings import worker_environment

ATTEMPTS = 3  # a worker may die of what it computes, and then so does the next
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 20.0


class Ray:
    """The executor `ray`: `workers` actors, as many as the cluster has room for by default.

    `cpus` and `gpus` are what each asks of its node: by default its threads, and a GPU where the device is one.
    """

    def __init__(
        self, workers: int | None, registry: Registry, address: str, cpus: float | None, gpus: float | None
    ) -> None:
        self.workers, self.address, self.cpus, self.gpus = workers, address, cpus, gpus
        self.plugins = plugins(registry)
        self.hands: list[Any] = []
        self.greeted: set[Any] = set()
        self.connected = False

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        if not tasks:
            return
        spec = tasks[0].spec
        request = self.request(spec["environment"])
        self.open(request)
        work = Dispatch(self, request, tasks)
        try:
            yield from work.outcomes()
        finally:
            work.stop()

    def request(self, environment: Any) -> Request:
        """Say what a worker needs. Raises UsageError for a device that is not the cluster's to give."""
        device, threads = environment["device"], environment["threads"]
        if device not in ("cpu", "cuda"):
            message = f'found "{device}", but ray chooses the GPU of each worker (would do: cuda)'
            raise UsageError(Fault("--device", "", message))
        gpus = self.gpus if self.gpus is not None else float(device == "cuda")
        return Request(self.cpus if self.cpus is not None else float(threads), gpus)

    def open(self, request: Request) -> None:
        """Connect, once, and see that the cluster has room: one that is to be started here before it is."""
        if not self.connected:
            wanted = max(cpu_count(), math.ceil((self.workers or 0) * request.cpus))
            address = os.environ.get("RAY_ADDRESS", LOCAL) if self.address == LOCAL else self.address
            if address == LOCAL and not the_ray().is_initialized():
                check_room([{"Alive": True, "Resources": {"CPU": wanted, "GPU": gpus_here()}}], request, LOCAL)
            self.connected = connect(address, wanted)
        check_room(the_ray().nodes(), request, self.address)

    def hire(self, request: Request, spec: Any) -> None:
        """Start a worker; it joins when the cluster has a place for it."""
        environment = {"env_vars": worker_environment(spec["environment"]["threads"])}
        actor = the_ray().remote(Hand).options(
            num_cpus=request.cpus, num_gpus=request.gpus, runtime_env=environment, max_restarts=0
        )  # fmt: skip
        self.hands.append(actor.remote())

    def dismiss(self, hand: Any) -> None:
        with suppress(Exception):
            the_ray().kill(hand)
        self.hands.remove(hand)
        self.greeted.discard(hand)

    def close(self) -> None:
        """Let all workers go, and the cluster, if it was started or joined here."""
        for hand in list(self.hands):
            self.dismiss(hand)
        if self.connected:
            the_ray().shutdown()
            self.connected = False


class Dispatch:
    """One round of tasks over the workers: every worker has one at a time, and a lost one's goes to another."""

    def __init__(self, owner: Ray, request: Request, tasks: Sequence[Task]) -> None:
        self.ray, self.owner, self.request, self.spec = the_ray(), owner, request, tasks[0].spec
        self.waiting = deque(tasks)
        self.left = len(tasks)
        self.deaths: Counter[str] = Counter()
        self.pending: dict[Any, tuple[Any, Task | None]] = {}  # answer to come -> worker, its task or its greeting
        self.idle_seconds = 0.0
        self.told = False

    def outcomes(self) -> Iterator[Outcome]:
        count = min(self.owner.workers or room(self.ray.nodes(), self.request), self.left)
        while len(self.owner.hands) < count:
            self.owner.hire(self.request, self.spec)
        while self.left:
            self.spread()
            ready, _ = self.ray.wait(list(self.pending), num_returns=1, timeout=LOOK_SECONDS)
            if not ready and self.deserted():
                reason = f"no node is left in the cluster that has {self.request}"
                yield from (Outcome(task.address, reason=reason) for task in self.waiting)
                return
            for answer in ready:
                outcome = self.receive(answer)
                if outcome is not None:
                    self.left -= 1
                    yield outcome

    def spread(self) -> None:
        """Give every free worker its next task; a new one introduces itself first."""
        busy = {hand for hand, _ in self.pending.values()}
        environment = self.spec["environment"]
        for hand in self.owner.hands:
            if hand in busy:
                continue
            if hand not in self.owner.greeted:
                where = environment["device"], environment["dtype"], environment["threads"]
                self.pending[hand.greet.remote(*where)] = hand, None
            elif self.waiting:
                task = self.waiting.popleft()
                self.pending[hand.compute.remote(task)] = hand, task

    def receive(self, answer: Any) -> Outcome | None:
        hand, task = self.pending.pop(answer)
        try:
            content = self.ray.get(answer)
        except self.ray.exceptions.RayTaskError as error:
            reason = raised(error.cause)
            if task is None:
                raise UsageError(Fault("--executor ray", "", f"a worker cannot start: {reason}")) from None
            return Outcome(task.address, reason=reason)
        except self.ray.exceptions.RayError as error:
            return self.lose(hand, task, error)
        if task is None:
            told = differences(content, self.spec, self.owner.plugins)
            if told:
                raise UsageError(*(Fault("--executor ray", f"node {content.node}", each) for each in told))
            self.owner.greeted.add(hand)
            return None
        outcome: Outcome = content
        return outcome

    def lose(self, hand: Any, task: Task | None, error: Exception) -> Outcome | None:
        """Replace a worker that is gone; its task goes to another, unless it has cost several their lives."""
        self.owner.dismiss(hand)
        if task is None and "ModuleNotFoundError" in str(error):
            message = "a worker cannot import bench; install the same release of it on every node"
            raise UsageError(Fault("--executor ray", "", message))
        key = task.address if task else "greeting"
        self.deaths[key] += 1
        if task is None and self.deaths[key] > ATTEMPTS * max(1, self.owner.workers or 1):
            raise UsageError(Fault("--executor ray", "", f"workers do not start: {first_line(error)}"))
        if room(self.ray.nodes(), self.request) > len(self.owner.hands):
            self.owner.hire(self.request, self.spec)
        if task is None:
            return None
        if self.deaths[key] >= ATTEMPTS:
            return Outcome(task.address, reason=f"the worker process died {ATTEMPTS} times ({first_line(error)})")
        self.waiting.appendleft(task)
        return None

    def deserted(self) -> bool:
        """Tell, when nothing has come for a while, whether nobody can work any more; say if nobody does yet."""
        if any(task for _, task in self.pending.values()):
            return False
        if not room(self.ray.nodes(), self.request):
            return True
        self.idle_seconds += LOOK_SECONDS
        if self.idle_seconds >= PATIENCE_SECONDS and not self.told:
            self.told = True
            message = f"{len(self.pending)} workers wait for a free place on the cluster (each asks for {self.request})"
            print(f"bench: ray: {message}", file=sys.stderr, flush=True)
        return False

    def stop(self) -> None:
        """Let those go that are still at work: nobody waits for them."""
        for hand, _ in self.pending.values():
            self.owner.dismiss(hand)
        self.pending.clear()
