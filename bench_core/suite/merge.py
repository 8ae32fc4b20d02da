"""The tables that a suite is laid together from: read, laid over one another, and found again by a key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Fault, UsageError


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises UsageError that names it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(Fault(str(path), "", f"cannot read: {reason}")) from None


def read_override(text: str, option: str = "--set") -> dict[str, Any]:
    """Read `key=value` as TOML; a value that is no TOML is taken as text. Raises UsageError."""
    key, equals, value = text.partition("=")
    for written in (value, '"' + value.strip().replace("\\", "\\\\").replace('"', '\\"') + '"'):
        try:
            if equals:
                return tomllib.loads(f"{key} = {written}")
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    raise UsageError(Fault(option, text, "not of the form key=value"))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another, table by table; everything else replaces.

    A table that names another kind, recipe or parts replaces as well: the options below are not that one's.
    """
    if _chosen(base) and _chosen(over) and _chosen(base) != _chosen(over):
        return dict(over)
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both and below is not None else value
    return result


def _chosen(table: Mapping[str, Any]) -> dict[str, Any]:
    """Say what the other entries of a table are the options of."""
    return {key: table[key] for key in ("kind", "recipe", "parts") if key in table}


def origin(key: str, layers: Sequence[tuple[str, dict[str, Any]]], default: str) -> str:
    """Give the last layer that holds a key, or the longest beginning of it."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        for where, layer in reversed(layers):
            current: Any = layer
            for part in parts[:length]:
                current = current.get(part) if isinstance(current, dict) else None
            if current is not None:
                return str(where)
    return default
