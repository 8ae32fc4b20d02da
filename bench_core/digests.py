"""What makes two things the same: SHA-256 over canonical JSON, over source files."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(canonical(value)).hexdigest()


@cache
def folder_digest(path: Path) -> str:
    """SHA-256 over one Python file, or over all below a folder."""
    state = hashlib.sha256()
    for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        content = each.read_bytes()
        state.update(f"{each.relative_to(path.parent).as_posix()} {len(content)}\n".encode() + content)
    return state.hexdigest()
