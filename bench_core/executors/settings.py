"""The environment variables of a worker process, which must be set before torch is imported."""

from __future__ import annotations

import os

FORWARDED = ("BENCH_BLOCK_PLUGINS", "BENCH_DISABLE_PLUGIN_AUTOLOAD")
# OMP_WAIT_POLICY: spinning OpenMP threads make convolutions 10 to 60 times slower on a shared machine.
# MALLOC_*: by default, glibc returns freed memory to the kernel and faults it in again page by page, in every gradient
# (`python -m benchmarks.lean` times it). 32 MiB is the largest mmap threshold that every glibc accepts.
DEFAULTS = {
    "OMP_WAIT_POLICY": "passive",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}


def worker_environment(threads: int) -> dict[str, str]:
    """Return the variables to add to the environment of a worker; those that the user has set win."""
    given = {name: os.environ[name] for name in (*DEFAULTS, *FORWARDED) if name in os.environ}
    return {**DEFAULTS, **given, "OMP_NUM_THREADS": str(threads)}
