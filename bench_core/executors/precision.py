"""Chooses the number type of the attacks' gradients for `--precision auto`, without importing torch.

What the processor can do does not decide, but which kernels torch uses. They are found by computing one gradient in a
process of its own, with the environment of a worker: with ONEDNN_MAX_CPU_ISA=AVX512_CORE, for example, a processor
with AVX512-BF16 computes bfloat16 more slowly than float32.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from ..errors import Fault, UsageError
from ..types import Precision
from .onednn import executions
from .settings import worker_environment

PrecisionChoice = Literal["auto", "float32", "bfloat16"]
BFLOAT16_CAPABILITY = (8, 0)  # the first NVIDIA GPUs whose tensor cores multiply bfloat16
PROBE_SECONDS = 120.0


@dataclass(frozen=True)
class ChosenPrecision:
    """The number type of the attacks' gradients, and why `auto` has chosen it; no reason if the user has."""

    precision: Precision
    reason: str = ""


def find_precision(wanted: PrecisionChoice, device: str, threads: int = 1, remote: bool = False) -> ChosenPrecision:
    """Return the number type to use.

    Args:
        wanted: `auto`, or the number type itself.
        device: The device that computes, as `find_device` returns it.
        threads: Threads of each worker.
        remote: Whether workers on other machines compute.

    Raises:
        UsageError: `auto` with remote workers, which may have other processors than this machine.
    """
    if wanted != "auto":
        return ChosenPrecision(wanted)
    if remote:
        message = 'found "auto", but the workers may have other processors than this machine (try float32, bfloat16)'
        raise UsageError(Fault("--precision", "", message))
    if device == "mps":
        return ChosenPrecision("float32", "bfloat16 has not been measured on Apple GPUs")
    return choose(device, probe(device, threads))


def choose(device: str, found: str) -> ChosenPrecision:
    """Return the number type for a device, given what the probe printed on it."""
    return _on_gpu(found) if device.startswith("cuda") else _on_cpu(found)


def _on_gpu(found: str) -> ChosenPrecision:
    line = next((line.split()[1:] for line in found.splitlines() if line.startswith("capability ")), [])
    if len(line) != 2 or not all(number.isdecimal() for number in line):
        return ChosenPrecision("float32", "the capability of the GPU is unknown")
    has = f"the GPU has compute capability {'.'.join(line)}"
    if (int(line[0]), int(line[1])) >= BFLOAT16_CAPABILITY:
        return ChosenPrecision("bfloat16", has)
    return ChosenPrecision("float32", f"{has}, and bfloat16 needs {'.'.join(map(str, BFLOAT16_CAPABILITY))}")


def _on_cpu(found: str) -> ChosenPrecision:
    run = [item for item in executions(found) if item.primitive == "convolution" and "bf16" in item.tensors]
    forward = {item.feature for item in run if item.direction.startswith("forward")}
    backward = {item.feature for item in run if item.direction.startswith("backward")}
    if not (forward and backward):
        return ChosenPrecision("float32", "torch has no oneDNN kernels for bfloat16 here")
    features = forward | backward
    if "" in features:
        kernels = " and ".join(dict.fromkeys(item.kernel for item in run if not item.feature))
        return ChosenPrecision("float32", f"torch would compute bfloat16 with {kernels}")
    return ChosenPrecision("bfloat16", f"the processor has {' and '.join(sorted(features))}")


def probe(device: str, threads: int) -> str:
    """Return what the probe prints on a device; nothing if it fails."""
    variables = {**os.environ, **worker_environment(threads), "ONEDNN_VERBOSE": "1"}
    command = [sys.executable, "-m", "bench_core.executors.precision_probe", device]
    try:
        done = subprocess.run(
            command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=PROBE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
