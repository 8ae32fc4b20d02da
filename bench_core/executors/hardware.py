"""What computes here, without torch. Two processors of one kind give the same bits, two of different kinds need not."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path

CPUS = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")


def cpu_count() -> int:
    """Say how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor(device: str) -> str:
    """Name the model of the CPU, or of the first GPU where the device is one."""
    if device.startswith("cuda"):
        described = sorted(GPUS.glob("*/information"))
        return _entry(described[0], "Model") or device if described else device
    return _entry(CPUS, "model name") or platform.processor() or platform.machine()


def give_back_memory() -> None:
    """Have the C library return what it keeps of freed memory, where it has a way to (glibc's), so that what a process
    is seen to hold is what it uses."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _entry(path: Path, name: str) -> str:
    """Give the first `name: value` of a file of the kernel's; empty where there is none."""
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return ""
