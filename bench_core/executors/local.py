"""Computes jobs in worker processes on this machine. A worker that dies costs only the job it had."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from ..types import Json
from . import Limits, Outcome, Task
from .hardware import cpu_count
from .settings import worker_environment
from .watchdog import Watch, end, manner_of_death
from .worker import READY

STARTING = 300.0  # seconds that a worker may take to import torch and all plugins


class Local:
    """The executor `local`: `workers` processes, each with the threads that its jobs ask for.

    By default they use every processor once; a GPU has one worker. They stay, with their networks, until `close`.
    """

    limits = True

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self.kept: list[subprocess.Popen[bytes]] = []

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        count = self.workers or default_workers(tasks[0].spec["environment"]) if tasks else 0
        hands = [Hand(waiting, done) for _ in range(min(count, len(tasks)))]
        for hand in hands:
            hand.process = self.kept_one()
            hand.thread.start()
        try:
            for _ in tasks:
                yield done.get()
            self.kept += [hand.process for hand in hands if hand.process]
        except BaseException:
            for hand in hands:
                hand.stop()
            raise

    def kept_one(self) -> subprocess.Popen[bytes] | None:
        """Take a worker of the run before that is still alive."""
        while self.kept:
            process = self.kept.pop()
            if process.poll() is None:
                return process
        return None

    def close(self) -> None:
        """End the worker processes."""
        while self.kept:
            process = self.kept.pop()
            end(process)
            process.wait()


def default_workers(environment: Json) -> int:
    return 1 if environment["device"] != "cpu" else max(1, cpu_count() // environment["threads"])


class Hand:
    """A thread that keeps one worker process busy."""

    def __init__(self, waiting: queue.SimpleQueue[Task], done: queue.SimpleQueue[Outcome]) -> None:
        self.waiting, self.done, self.stopped = waiting, done, False
        self.process: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self) -> None:
        while not self.stopped:
            try:
                task = self.waiting.get_nowait()
            except queue.Empty:
                break
            self.done.put(self.ask(task))

    def ask(self, task: Task) -> Outcome:
        """Have the worker compute a task; a worker that died is reported and replaced for the next."""
        watch = None
        try:
            if self.process is None:
                self.process = start_worker(task.spec["environment"]["threads"])
                with Watch(self.process, Limits(seconds=STARTING)):
                    ready(self.process)
            watch = Watch(self.process, task.limits)
            with watch:
                return exchange(self.process, task)
        except (OSError, EOFError, ValueError) as error:
            process, self.process = self.process, None
            if process is None:
                return Outcome(task.address, reason=f"no worker process can be started: {error}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            end(process)
            return Outcome(task.address, reason=(watch and watch.reason) or manner_of_death(process.wait()))

    def stop(self) -> None:
        self.stopped = True
        if self.process is not None:
            end(self.process)
            self.process.wait()


def ready(process: subprocess.Popen[bytes]) -> None:
    """Wait until a worker has imported all it needs, which no task's limits are about. Raises EOFError."""
    assert process.stdout is not None
    if process.stdout.readline() != READY:
        raise EOFError


def exchange(process: subprocess.Popen[bytes], task: Task) -> Outcome:
    """Send a task and read the answer. Raises OSError, EOFError or ValueError where the worker gives none."""
    assert process.stdin is not None
    assert process.stdout is not None
    request = {"address": task.address, "spec": task.spec, "wanted": task.wanted}
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    head = process.stdout.readline()
    if not head.endswith(b"\n"):
        raise EOFError
    answer = json.loads(head)
    bundle = None if answer["size"] is None else process.stdout.read(answer["size"])
    if bundle is not None and len(bundle) < answer["size"]:
        raise EOFError
    return Outcome(task.address, bundle, answer["reason"], answer["usage"])


def start_worker(threads: int) -> subprocess.Popen[bytes]:
    """Start a worker in a session of its own, so that Ctrl-C reaches the driver alone, which then stops it."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench_core.executors.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **worker_environment(threads)},
        start_new_session=True,
    )
