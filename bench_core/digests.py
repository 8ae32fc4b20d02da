"""SHA-256 of values and of folders of source files.

`digest` identifies data: jobs, cells and suites. `folder_digest` covers all the code of a folder;
`code_digest.closure_digest` only the code that one recipe can run.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any


def canonical(value: Any) -> bytes:
    """Serialise a JSON value with sorted keys and no spaces, so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(canonical(value)).hexdigest()


@cache
def folder_digest(path: Path) -> str:
    """Return the SHA-256 of a Python file, or of the names and contents of all Python files below a folder."""
    state = hashlib.sha256()
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        content = file.read_bytes()
        state.update(f"{file.relative_to(path.parent).as_posix()} {len(content)}\n".encode() + content)
    return state.hexdigest()
