"""The tasks of one call of an executor. They are handed out one at a time, unless another process computes them."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from . import Task
from .claims import Claims

POLL_SECONDS = 0.5
NOTICE_SECONDS = 10.0  # without a task to compute, until a notice is printed


class TaskQueue(Sequence[Task]):
    """Tasks that are claimed when an executor takes them. Thread-safe.

    An executor that does not know this class sees a sequence of all tasks, and computes them without claims.

    Args:
        tasks: All tasks, in the order in which they are taken.
        claims: The claims of this process; None if no other process can compute these tasks.
        is_stored: Returns whether the store has all that a task asks for. Such a task is not taken.
        report: Called with a task's address and the share of it that is done, from the thread that iterates over the
            outcomes. An executor need not call it.

    Attributes:
        stored: The addresses of the tasks that another process has stored in the meantime.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        claims: Claims | None = None,
        is_stored: Callable[[Task], bool] = lambda _task: False,
        report: Callable[[str, float], None] = lambda _address, _share: None,
    ) -> None:
        self.tasks, self.claims, self.is_stored, self.report = tasks, claims, is_stored, report
        self.waiting = deque(tasks)
        self.stored: deque[str] = deque()
        self.lock = threading.Lock()
        self.idle_since: float | None = None

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> TaskQueue:
        """Return `tasks` if it is a queue, else a queue of them."""
        return tasks if isinstance(tasks, TaskQueue) else cls(tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | Sequence[Task]:
        return self.tasks[index]

    def take(self) -> Task | None:
        """Return the next task that nobody computes, and claim it; None if there is none at the moment."""
        with self.lock:
            for _ in range(len(self.waiting)):
                task = self.waiting.popleft()
                if self.is_stored(task):
                    self.stored.append(task.address)
                elif self.claims is None or self.claims.claim(task.address):
                    if self.is_stored(task):  # by the process that has just released its claim
                        self.stored.append(task.address)
                        self.finish(task.address)
                        continue
                    self.idle_since = None
                    return task
                else:
                    self.waiting.append(task)
            self._notice()
            return None

    @property
    def left(self) -> int:
        """The number of tasks that nobody has taken."""
        return len(self.waiting)

    @property
    def exhausted(self) -> bool:
        """Whether no task is left, and none will be."""
        return not self.left

    def drain(self) -> Iterator[Task]:
        """Yield every task that is left, and wait for those that other processes compute."""
        while not self.exhausted:
            task = self.take()
            if task is not None:
                yield task
            elif not self.exhausted:
                time.sleep(POLL_SECONDS)

    def finish(self, address: str) -> None:
        """Release the claim on a task whose outcome is there."""
        if self.claims is not None:
            self.claims.release(address)

    def _notice(self) -> None:
        """Print that this process waits for another, once each time that it does."""
        now = time.monotonic()
        if not self.waiting or self.idle_since == 0:
            return
        self.idle_since = self.idle_since or now
        if now - self.idle_since >= NOTICE_SECONDS:
            self.idle_since = 0
            print(f"bench: waiting for {len(self.waiting)} jobs of another run", file=sys.stderr, flush=True)
