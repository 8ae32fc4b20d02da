"""Waiting for events in other processes, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 300.0  # seconds to wait for an event that must come, on a machine under load as well


def wait_until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds. Fail if it never does."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def workers_of(pid: int) -> list[int]:
    """Return all descendants of a process, whichever of its threads started them."""
    children = [int(p) for file in Path(f"/proc/{pid}/task").glob("*/children") for p in file.read_text().split()]
    return [*children, *(descendant for child in children for descendant in workers_of(child))]
