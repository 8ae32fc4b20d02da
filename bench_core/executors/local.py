"""Computes jobs in worker processes on this machine. A worker that dies voids only its current job."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from ..errors import raised
from ..types import Json
from . import Limits, Outcome, Task
from .hardware import cpu_count
from .settings import worker_environment
from .shares import Share
from .tasks import POLL_SECONDS, TaskQueue
from .watchdog import Watch, describe_exit, kill
from .worker import READY

START_SECONDS = 300.0  # the limit for importing torch and all plugins
BRIEF_SECONDS = 1.0  # after a task that took less, the worker gets one more ahead, so that it need not wait for it


class Local:
    """The executor `local`: worker processes, each with the number of threads that its jobs name.

    The processes and their networks are kept between two calls of `run`, until `close`.

    Args:
        workers: The number of processes; by default as in `default_workers`.
    """

    limits = on_this_machine = True

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self.idle: list[WorkerProcess] = []

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        if not tasks:
            return
        waiting = TaskQueue.of(tasks)
        done: queue.SimpleQueue[Outcome | Share | None] = queue.SimpleQueue()
        count = min(self.workers or default_workers(tasks[0].spec["environment"]), len(tasks))
        threads = [WorkerThread(self._take_worker(), waiting, done, count) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            working = count
            while working:
                match done.get():
                    case None:
                        working -= 1
                    case Share(address, share):
                        waiting.report(address, share)
                    case outcome:
                        yield outcome
            self.idle += [thread.worker for thread in threads]
        except BaseException:
            for thread in threads:
                thread.worker.stop()
            raise

    def _take_worker(self) -> WorkerProcess:
        return self.idle.pop() if self.idle else WorkerProcess()

    def close(self) -> None:
        """Stop the worker processes."""
        while self.idle:
            self.idle.pop().stop()


def default_workers(environment: Json) -> int:
    """Return the number of workers whose threads use every processor once; 1 for a GPU."""
    return 1 if environment["device"] != "cpu" else max(1, cpu_count() // environment["threads"])


class WorkerThread:
    """A thread that passes waiting tasks to one worker process, until none is left or the worker is stopped.

    It puts the outcomes in `done`, before each the shares of the task that are done, and None at its end. An outcome is
    stored by another thread, so the worker computes its next task meanwhile. If tasks are brief, it has the next task
    before it has finished one. `count` is the number of workers.
    """

    def __init__(
        self, worker: WorkerProcess, waiting: TaskQueue, done: queue.SimpleQueue[Outcome | Share | None], count: int
    ) -> None:
        self.worker, self.waiting, self.done, self.count = worker, waiting, done, count
        self.thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def _work(self) -> None:
        following, brief = None, False
        try:
            while not self.worker.stopped and (following or not self.waiting.exhausted):
                task = following or self.waiting.take()
                if task is None:
                    time.sleep(POLL_SECONDS)
                    continue
                following = self._following(task) if brief else None
                start = time.monotonic()
                try:
                    outcome = self.worker.compute(task, self.done.put, following)
                except Exception as error:  # a task without an outcome would be missing from the run without a reason
                    outcome = Outcome(task.address, reason=raised(error))
                brief = time.monotonic() - start < BRIEF_SECONDS
                self.done.put(outcome)
        finally:
            self.done.put(None)

    def _following(self, task: Task) -> Task | None:
        """Take the next task already, if this leaves one for each other worker.

        Not if memory is limited: a worker gives back what it has freed when it has nothing to do.
        """
        limited = task.limits.memory is not None or task.memory is not None
        return None if limited or self.waiting.left < self.count else self.waiting.take()


class WorkerProcess:
    """A process that computes one task at a time. It starts with its first task, and again if it died."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.ahead: Task | None = None  # what the process got before its turn
        self.stopped = False

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def compute(
        self, task: Task, report: Callable[[Share], None] = lambda _share: None, following: Task | None = None
    ) -> Outcome:
        """Compute a task. If the process dies or exceeds a limit, the outcome has the reason.

        Args:
            task: The task.
            report: Called with the share of the task that is done, at most a few times a second.
            following: The task that this is called with next, which the process gets already. If it dies before, it
                gets the task again.
        """
        try:
            process = self._started(task.spec["environment"]["threads"])
        except (OSError, EOFError) as error:
            return Outcome(task.address, reason=f"no worker process can be started: {error}")
        try:
            request = b"" if task is self.ahead else encode(task)
        except (TypeError, ValueError) as error:
            return Outcome(task.address, reason=f"the job cannot be sent to a worker as JSON: {error}")
        watch = Watch(process, task.limits)
        try:
            with watch:
                send(process, request)
                self.ahead = None
                if following is not None:
                    with contextlib.suppress(TypeError, ValueError):  # reported in its turn
                        send(process, encode(following))
                        self.ahead = following
                return receive(process, task.address, report)
        except (OSError, EOFError, ValueError):
            death = self._reap(process)
            return Outcome(task.address, reason=watch.reason or death, died=True, over_limit=bool(watch.reason))

    def stop(self) -> None:
        """Kill the process. It is not started again."""
        self.stopped = True
        process = self.process  # the thread that computes may replace it by None at any moment
        if process is not None:
            kill(process)
            process.wait()

    def _started(self, threads: int) -> subprocess.Popen[bytes]:
        """Return the process, started if necessary. The start does not count towards the limits of a task.

        Raises OSError if it cannot be started, EOFError if it dies before it is ready.
        """
        if self.process is not None and self.running:
            return self.process
        self.ahead = None
        self.process = process = start_worker(threads)
        if self.stopped:  # by another thread, which found no process to kill
            kill(process)
            raise EOFError(self._reap(process))  # it may have been ready before it was killed
        watch = Watch(process, Limits(seconds=START_SECONDS))
        try:
            with watch:
                wait_until_ready(process)
        except (OSError, EOFError):
            death = self._reap(process)
            raise EOFError(watch.reason or death) from None
        return process

    def _reap(self, process: subprocess.Popen[bytes]) -> str:
        """Return how a process died that has closed its pipe. Kill its children, and the process itself if it hangs."""
        self.process = self.ahead = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        kill(process)
        return describe_exit(process.wait())


def start_worker(threads: int) -> subprocess.Popen[bytes]:
    """Start a worker in a session of its own: Ctrl-C reaches only the driver, which then stops the worker."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench_core.executors.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **worker_environment(threads)},
        start_new_session=True,
    )


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    """Read until the worker is ready; a sitecustomize may print before. Raises EOFError if the process ends."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith(READY):
            return
    raise EOFError


def encode(task: Task) -> bytes:
    """Return a task as a line of JSON. Raises TypeError or ValueError for a value that JSON cannot hold."""
    names = ("address", "spec", "wanted", "state_file", "memory")
    sent = {name: getattr(task, name) for name in names}
    return json.dumps(sent).encode() + b"\n"


def send(process: subprocess.Popen[bytes], request: bytes) -> None:
    """Send a task. Raises OSError if the process has ended."""
    assert process.stdin is not None
    process.stdin.write(request)
    process.stdin.flush()


def receive(process: subprocess.Popen[bytes], address: str, report: Callable[[Share], None]) -> Outcome:
    """Report the shares of a task that the worker writes, and read its answer.

    Raises OSError, EOFError or ValueError if there is none.
    """
    assert process.stdout is not None
    while "share" in (answer := read_message(process.stdout)):
        report(Share(address, answer["share"]))
    bundle = None if answer["size"] is None else process.stdout.read(answer["size"])
    if bundle is not None and len(bundle) < answer["size"]:
        raise EOFError
    return Outcome(address, bundle, answer["reason"], answer["usage"], answer["network"])


def read_message(answers: IO[bytes]) -> Json:
    """Return the next line as JSON. Raises EOFError if it is cut off, ValueError if it is no JSON."""
    line = answers.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message: Json = json.loads(line)
    return message
