"""Where the libraries keep downloaded weights, and the digests of those weights."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bench_core.errors import Fault, UsageError
from bench_core.files import file_digest
from bench_core.types import WeightsFile


def torch_cache() -> Path:
    """Return the folder where torch keeps weights: under `TORCH_HOME`, by default `~/.cache/torch`."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("TORCH_HOME") or Path(caches) / "torch").expanduser()
    return home / "hub" / "checkpoints"


def cached_by_torch(url: str, size: int | None = None) -> WeightsFile:
    """Return a URL's file in torch's cache; its name may end with the first digits of its digest."""
    name = url.rpartition("/")[2]
    digest_start = re.search(r"-([0-9a-f]{8,})\.[a-z]+$", name)
    return WeightsFile(str(torch_cache() / name), url, size, digest_start.group(1) if digest_start else "")


def digests_of(files: Sequence[WeightsFile]) -> list[str]:
    """Return the SHA-256 of each file, or "missing"; no result is computed while weights are missing."""
    return [file_digest(file.path) if Path(file.path).is_file() else "missing" for file in files]


def existing_paths(files: Sequence[WeightsFile]) -> list[str]:
    """Return the paths of the files. Raises UsageError if one is missing."""
    for file in files:
        if not Path(file.path).is_file():
            raise UsageError(Fault("", "weights", f"weights are not on this machine: looked for {file.path}"))
    return [file.path for file in files]
