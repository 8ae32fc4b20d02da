"""Computes jobs in worker processes on this machine. A worker that dies costs only the job it had."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from ..machine import cpu_count
from ..types import Json
from . import Outcome, Task
from .settings import worker_environment


class Local:
    """The executor `local`: `workers` processes, each with the threads that its jobs ask for.

    By default they use every processor once; a GPU has one worker.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        count = self.workers or default_workers(tasks[0].spec["environment"]) if tasks else 0
        hands = [Hand(waiting, done) for _ in range(min(count, len(tasks)))]
        for hand in hands:
            hand.thread.start()
        try:
            for _ in tasks:
                yield done.get()
        finally:
            for hand in hands:
                hand.stop()


def default_workers(environment: Json) -> int:
    return 1 if environment["device"].startswith("cuda") else max(1, cpu_count() // environment["threads"])


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
        self.stop()

    def ask(self, task: Task) -> Outcome:
        """Have the worker compute a task; a worker that died is reported and replaced for the next."""
        if self.process is None:
            self.process = start_worker(task.spec["environment"]["threads"])
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
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
        except (OSError, EOFError, ValueError):
            self.process = None
            try:
                code = process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            return Outcome(task.address, reason=f"the worker process died (exit code {code})")
        return Outcome(task.address, bundle, answer["reason"], answer["usage"])

    def stop(self) -> None:
        self.stopped = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def start_worker(threads: int) -> subprocess.Popen[bytes]:
    """Start a worker in a session of its own, so that Ctrl-C reaches the driver alone, which then stops it."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench_core.executors.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **worker_environment(threads)},
        start_new_session=True,
    )
