"""The digest of the host's own code that computes results. It is part of every address."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..digests import digest, folder_digest

HERE = Path(__file__).parents[1]
SHARED = ("types", "statistics", "grid", "clouds", "logits", "batches", "data_mean", "donors")


def host_files() -> tuple[Path, ...]:
    """Return the files whose code can change a result: the package `worker`, and what it shares with plugins."""
    return (*sorted((HERE / "worker").rglob("*.py")), *(HERE / f"{name}.py" for name in SHARED))


@cache
def host_digest() -> str:
    return digest([folder_digest(path) for path in host_files()])
