"""The digest of the host's own code that computes results. It is part of every address."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..digests import digest, folder_digest

HERE = Path(__file__).parents[1]
FOLDERS = ("worker", "lean")
SHARED = (
    "types", "rejection", "queries", "norms", "statistics", "grid", "clouds", "logits", "batches", "data_mean",
    "donors",
)  # fmt: skip


def host_files() -> tuple[Path, ...]:
    """Return the files whose code can change a result: the package `worker`, and what the host shares with plugins."""
    folders = (path for name in FOLDERS for path in sorted((HERE / name).rglob("*.py")))
    return (*folders, *(HERE / f"{name}.py" for name in SHARED))


@cache
def host_digest() -> str:
    return digest([folder_digest(path) for path in host_files()])
