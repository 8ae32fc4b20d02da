"""Where a dataset's files are: the option `root` (`--data`), or `BENCH_DATA`. Nothing is downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from bench_core.errors import Fault, UsageError


def data_path(root: str, wanted: str) -> Path:
    """Give the folder or file that holds the images. Raises UsageError where none is given or it is not there."""
    given = root or os.environ.get("BENCH_DATA", "")
    if not given:
        raise UsageError(Fault("data", "root", f"{wanted} is needed, and none is given (--data PATH, or BENCH_DATA)"))
    path = Path(given).expanduser()
    if not path.exists():
        raise UsageError(Fault("data", "root", f"no such file or folder: {given} ({wanted} is needed)"))
    return path
