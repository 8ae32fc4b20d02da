"""Where the libraries keep what they downloaded, and what weights are called in the address of a result."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bench_core.errors import Fault, UsageError
from bench_core.files import file_digest
from bench_core.types import WeightsFile


def torch_cache() -> Path:
    """Where torch keeps weights: under `TORCH_HOME`, by default `~/.cache/torch`."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("TORCH_HOME") or Path(caches) / "torch").expanduser()
    return home / "hub" / "checkpoints"


def cached_by_torch(url: str, size: int | None = None) -> WeightsFile:
    """Describe a file that torch's own downloader caches; its name ends with the beginning of its digest."""
    name = url.rpartition("/")[2]
    beginning = re.search(r"-([0-9a-f]{8,})\.[a-z]+$", name)
    return WeightsFile(str(torch_cache() / name), url, size, beginning.group(1) if beginning else "")


def digests_of(files: Sequence[WeightsFile]) -> list[str]:
    """SHA-256 of each file, or "missing"; nothing is computed with weights that are missing."""
    return [file_digest(file.path) if Path(file.path).is_file() else "missing" for file in files]


def present(files: Sequence[WeightsFile]) -> list[str]:
    """Give the paths. Raises UsageError that names the first file that is not there."""
    for file in files:
        if not Path(file.path).is_file():
            raise UsageError(Fault("", "weights", f"weights are not on this machine: looked for {file.path}"))
    return [file.path for file in files]
