"""Watches a worker process during a task, and kills it, with all that it started, if it exceeds a limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from . import Limits

POLL_SECONDS = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
MEASURABLE = Path("/proc/self/statm").exists()


class Watch:
    """A context manager for one task. Afterwards, `reason` is why the process was killed; empty if it was not.

    If the process dies by itself, its children are killed too: a child that holds the pipe open would keep the driver
    waiting for ever.
    """

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.process, self.limits, self.reason = process, limits, ""
        self.finished = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        limits = self.limits
        self.deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finished.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.finished.wait(POLL_SECONDS):
            self.reason = self._exceeded()
            if self.reason or self.process.poll() is not None:
                kill(self.process)
                return

    def _exceeded(self) -> str:
        if self.deadline is not None and time.monotonic() > self.deadline:
            return f"ran past its time limit of {self.limits.seconds:g} s"
        if self.limits.until is not None and time.monotonic() > self.limits.until:
            return "ran past the time limit of all"
        if self.limits.memory is not None and (used := resident(self.process.pid)) > self.limits.memory:
            return f"used {used / 2**20:.0f} MiB of memory, its limit is {self.limits.memory / 2**20:.0f} MiB"
        return ""


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and all processes of its session, which it leads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def describe_exit(code: int) -> str:
    """Return how a worker died, with its exit code or signal."""
    names = {number.value: number.name for number in signal.Signals}  # without most of the real-time signals
    cause = f"exit code {code}" if code >= 0 else names.get(-code, f"signal {-code}")
    return f"the worker process died ({cause})"
