"""Finds the device to compute on, without importing torch."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from ..errors import Fault, UsageError

NVIDIA = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg")  # the driver; the card; the card under WSL
GPUS = Path("/proc/driver/nvidia/gpus")  # one folder per GPU; missing on some systems


def find_device(wanted: str, remote: bool = False) -> str:
    """Return the name of the device to compute on.

    Args:
        wanted: One of auto, cpu, cuda, cuda:N, mps. `auto` is `cuda` if there is an NVIDIA driver, else `cpu`; an Apple
            GPU must be named.
        remote: Whether the device is one of remote workers, so that it need not exist here.

    Raises:
        UsageError: If the name is unknown, or this machine has no such device.
    """
    nvidia = any(map(os.path.exists, NVIDIA)) or shutil.which("nvidia-smi") is not None
    apple = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    if wanted == "auto":
        return "cuda" if nvidia else "cpu"
    missing = {"cuda": not nvidia, "mps": not apple}
    kind = wanted.partition(":")[0]
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", wanted):
        raise UsageError(Fault("--device", "", f'found "{wanted}" (try auto, cpu, cuda, cuda:N, mps)'))
    if missing.get(kind) and not remote:
        reason = {"cuda": "no NVIDIA driver", "mps": "no Apple GPU"}[kind]
        raise UsageError(Fault("--device", "", f'found "{wanted}", but there is {reason} here (try cpu)'))
    number, count = wanted.partition(":")[2], gpus()
    if number and count and int(number) >= count and not remote:
        message = f'found "{wanted}", but the last GPU here is cuda:{count - 1}'
        raise UsageError(Fault("--device", "", message))
    return wanted


def gpus() -> int | None:
    """Return the number of NVIDIA GPUs of this machine; None if the system does not list them."""
    return len(list(GPUS.iterdir())) if GPUS.is_dir() else None
