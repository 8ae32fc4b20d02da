"""A worker process: `python -m bench_core.executors.worker`. One JSON line in, one JSON line and a bundle out.

The first line out says that it is ready. It ends when its standard input does, and in the midst of a task within a
second after its driver, so that no worker outlives a driver that was killed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from ..errors import raised
from ..registry import discover
from . import Outcome, Task
from .hardware import give_back_memory
from .inline import attempt

READY = b"ready\n"
GLANCE = 0.5  # seconds from one look at whether the driver is there to the next


def end_with(parent: int) -> None:
    """End this process at once when the one that started it has: nobody waits for what it computes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(GLANCE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a plugin prints must not mix with the answers
    end_with(os.getppid())
    from ..worker.job import Worker

    worker = Worker(discover())
    answers.write(READY)
    answers.flush()
    for line in sys.stdin.buffer:
        task = Task(**json.loads(line))
        try:
            outcome = attempt(worker, task)
        except BaseException as error:  # a plugin's own KeyboardInterrupt, for one: Ctrl-C never reaches a worker
            outcome = Outcome(task.address, reason=raised(error))
        bundle = outcome.bundle
        head = {"reason": outcome.reason, "usage": outcome.usage, "size": None if bundle is None else len(bundle)}
        give_back_memory()  # a task's limit of memory is not to be reached by what the one before has used
        try:
            answers.write(json.dumps(head).encode() + b"\n" + (bundle or b""))
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # the driver has gone, and an ordinary end would try to write once more


if __name__ == "__main__":
    main()
