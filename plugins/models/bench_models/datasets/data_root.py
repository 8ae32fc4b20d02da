"""Where a dataset's files are: the option `root` (`--data`), or the environment variable `BENCH_DATA`."""

from __future__ import annotations

import os
from pathlib import Path

from bench_core.errors import Fault, UsageError


def data_path(root: str, needed: str) -> Path:
    """Return the path of a dataset; nothing is downloaded.

    Args:
        root: Path given by the user; empty for `BENCH_DATA`.
        needed: What the path must hold, for the error message.

    Raises:
        UsageError: No path is given, or it does not exist.
    """
    given = root or os.environ.get("BENCH_DATA", "")
    if not given:
        raise UsageError(Fault("data", "root", f"{needed} is needed, and none is given (--data PATH, or BENCH_DATA)"))
    path = Path(given).expanduser()
    if not path.exists():
        raise UsageError(Fault("data", "root", f"no such file or folder: {given} ({needed} is needed)"))
    return path
