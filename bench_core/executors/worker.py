"""A worker process: `python -m bench_core.executors.worker`. It reads tasks and writes outcomes.

A task is a line of JSON on standard input. Its outcome is a line of JSON on standard output, followed by the bundle.
Before it come lines such as {"share": 0.25}, a few a second, with the share of the task that is done.
The first line written is `ready`. The next task may be sent while one is computed. The worker ends when its standard
input does. It also ends within a second after its driver, even during a task, so that no worker outlives a driver that
was killed.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from typing import BinaryIO

from ..errors import raised
from ..registry import discover
from ..types import Json
from . import Outcome, Task
from .hardware import give_back_memory
from .inline import attempt

READY = b"ready\n"
POLL_SECONDS = 0.5


def end_with(parent: int) -> None:
    """End this process as soon as its parent has ended, since nobody reads the outcome."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def received(requests: BinaryIO) -> queue.SimpleQueue[Json | None]:
    """Return the queue of the messages that another thread reads and parses at once. The last is None.

    So the driver need not wait to write one, and the worker need not wait for it to be parsed.
    """
    messages = queue.SimpleQueue[Json | None]()

    def read() -> None:
        try:
            for line in requests:
                messages.put(json.loads(line))
        finally:
            messages.put(None)

    threading.Thread(target=read, daemon=True).start()
    return messages


def send(answers: BinaryIO, message: Json, bundle: bytes = b"") -> None:
    """Write a message as a line of JSON, and a bundle after it."""
    write(answers, json.dumps(message).encode() + b"\n" + bundle)


def write(answers: BinaryIO, content: bytes) -> None:
    """Write bytes at once. If the driver has ended, end this process."""
    try:
        answers.write(content)
        answers.flush()
    except BrokenPipeError:
        os._exit(1)  # a normal exit would flush, and fail, again


def main() -> None:
    # A plugin that prints or reads must not mix with the exchange of tasks and outcomes.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    end_with(os.getppid())
    from ..worker.job import Worker

    worker = Worker(discover())
    write(answers, READY)
    messages = received(requests)
    while (message := messages.get()) is not None:
        task = Task(**message)
        try:
            outcome = attempt(worker, task, lambda share: send(answers, {"share": share}))
        except BaseException as error:  # such as a plugin's own KeyboardInterrupt; Ctrl-C never reaches a worker
            outcome = Outcome(task.address, reason=raised(error))
        bundle = outcome.bundle
        size = None if bundle is None else len(bundle)
        head = {"reason": outcome.reason, "usage": outcome.usage, "network": outcome.network, "size": size}
        if messages.empty():
            give_back_memory()  # so that the next task's memory limit does not count it
        send(answers, head, bundle or b"")


if __name__ == "__main__":
    main()
