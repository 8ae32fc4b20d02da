"""Watches a worker process while it has a task: what takes too long or too much is ended, with all it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from . import Limits

GLANCE = 0.05  # seconds between two looks
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
MEASURABLE = Path("/proc/self/statm").exists()


class Watch:
    """Entered for one task. `reason` says afterwards why the process was ended, if it was.

    A process that died by itself is buried too: a child of it that holds its end of the pipe would keep the driver
    waiting for ever.
    """

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.process, self.limits, self.reason = process, limits, ""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self.deadline = None if self.limits.seconds is None else time.monotonic() + self.limits.seconds
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.wait(GLANCE):
            self.reason = self._exceeded()
            if self.reason or self.process.poll() is not None:
                end(self.process)
                return

    def _exceeded(self) -> str:
        if self.deadline is not None and time.monotonic() > self.deadline:
            return f"ran past its time limit of {self.limits.seconds:g} s"
        if self.limits.memory is not None and (used := resident(self.process.pid)) > self.limits.memory:
            return f"used {used / 2**20:.0f} MiB of memory, its limit is {self.limits.memory / 2**20:.0f} MiB"
        return ""


def resident(pid: int) -> int:
    """Give the bytes of memory that a process holds; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker, whose session is its own, and whatever it started in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def manner_of_death(code: int) -> str:
    """Say how a worker ended: its exit code, or the signal."""
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    return f"the worker process died ({how})"
