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
        threads = [WorkerThread(self._take_worker(), waiting, done) for _ in range(count)]
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

    It puts the outcomes in `done`, before each the shares of the task that are done, and None at its end.
    """

    def __init__(
        self, worker: WorkerProcess, waiting: TaskQueue, done: queue.SimpleQueue[Outcome | Share | None]
    ) -> None:
        self.worker, self.waiting, self.done = worker, waiting, done
        self.thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def _work(self) -> None:
        try:
            while not (self.worker.stopped or self.waiting.exhausted):
                task = self.waiting.take()
                if task is None:
                    time.sleep(POLL_SECONDS)
                    continue
                try:
                    outcome = self.worker.compute(task, self.done.put)
                except Exception as error:  # a task without an outcome would be missing from the run without a reason
                    outcome = Outcome(task.address, reason=raised(error))
                self.done.put(outcome)
        finally:
            self.done.put(None)


class WorkerProcess:
    """A process that computes one task at a time. It starts with its first task, and again if it died."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def compute(self, task: Task, report: Callable[[Share], None] = lambda _share: None) -> Outcome:
        """Compute a task. If the process dies or exceeds a limit, the outcome has the reason.

        Args:
            task: The task.
            report: Called with the share of the task that is done, at most a few times a second.
        """
        try:
            request = encode(task)
        except (TypeError, ValueError) as error:
            return Outcome(task.address, reason=f"the job cannot be sent to a worker as JSON: {error}")
        try:
            process = self._started(task.spec["environment"]["threads"])
        except (OSError, EOFError) as error:
            return Outcome(task.address, reason=f"no worker process can be started: {error}")
        watch = Watch(process, task.limits)
        try:
            with watch:
                return exchange(process, task.address, request, report)
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
        self.process = None
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


def exchange(
    process: subprocess.Popen[bytes], address: str, request: bytes, report: Callable[[Share], None]
) -> Outcome:
    """Send a task, report the shares that the worker writes, and read the answer.

    Raises OSError, EOFError or ValueError if there is none.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    process.stdin.flush()
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
