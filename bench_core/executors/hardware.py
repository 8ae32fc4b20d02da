"""Describes this machine, without torch. Results are equal to the bit only on processors of the same model."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path

CPUS = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")


def cpu_count() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor(device: str) -> str:
    """Return the model of the CPU, or of the first GPU if `device` is a GPU."""
    if device.startswith("cuda"):
        described = sorted(GPUS.glob("*/information"))
        return _entry(described[0], "Model") or device if described else device
    return _entry(CPUS, "model name") or platform.processor() or platform.machine()


def give_back_memory() -> None:
    """Return freed memory to the system if the C library can (glibc), so that resident memory is memory in use."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _entry(path: Path, name: str) -> str:
    """Return the value of the first line `name: value` of a file; empty if there is none."""
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return ""
