"""The environment variables of a worker process, which must stand before torch is imported."""

from __future__ import annotations

import os

PASSED_ON = ("BENCH_BLOCK_PLUGINS", "BENCH_DISABLE_PLUGIN_AUTOLOAD")
# Spinning OpenMP threads make convolutions 10 to 60 times slower on a machine that is shared.
# Left to itself glibc gives freed memory back to the kernel and takes it again page by page, within every gradient
# (`python -m benchmarks.lean` times it); 32 MiB is the most that every glibc takes for the first.
DEFAULTS = {
    "OMP_WAIT_POLICY": "passive",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}


def worker_environment(threads: int) -> dict[str, str]:
    """Give what a worker needs beside the environment that it is started in; the user's own settings win."""
    given = {name: os.environ[name] for name in (*DEFAULTS, *PASSED_ON) if name in os.environ}
    return {**DEFAULTS, **given, "OMP_NUM_THREADS": str(threads)}
