"""Which device computes, found without importing torch."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from ..errors import Fault, UsageError

NVIDIA = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg")  # the driver; the card; the card under WSL
GPUS = Path("/proc/driver/nvidia/gpus")  # a folder for each, where the system says so


def find_device(wanted: str, remote: bool = False) -> str:
    """Resolve `auto`: a GPU where there is NVIDIA's driver, else the CPU. Apple's GPUs (`mps`) are used where named.

    Raises UsageError where there is no such device, unless it is that of `remote` workers.
    """
    nvidia = any(map(os.path.exists, NVIDIA)) or shutil.which("nvidia-smi") is not None
    apple = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    if wanted == "auto":
        return "cuda" if nvidia else "cpu"
    missing = {"cuda": not nvidia, "mps": not apple}
    kind = wanted.partition(":")[0]
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", wanted):
        raise UsageError(Fault("--device", "", f'found "{wanted}" (would do: auto, cpu, cuda, cuda:N, mps)'))
    if missing.get(kind) and not remote:
        maker = {"cuda": "no NVIDIA driver", "mps": "no Apple GPU"}[kind]
        raise UsageError(Fault("--device", "", f'found "{wanted}", but there is {maker} here (would do: cpu)'))
    number, count = wanted.partition(":")[2], gpus()
    if number and count and int(number) >= count and not remote:
        message = f'found "{wanted}", but the last GPU here is cuda:{count - 1}'
        raise UsageError(Fault("--device", "", message))
    return wanted


def gpus() -> int | None:
    """Count NVIDIA's GPUs of this machine; None where the system does not say."""
    return len(list(GPUS.iterdir())) if GPUS.is_dir() else None
