"""Read the layers of a suite (files, profile, overrides), merge them, and find the layer that a key comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Fault, UsageError


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises UsageError if that fails."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a byte-order mark
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(Fault(str(path), "", f"cannot read: {reason}")) from None


def read_override(text: str, option: str = "--set") -> dict[str, Any]:
    """Parse `key=value` as TOML; a value that is not valid TOML is text. Raises UsageError if it has another form.

    `option` names the command-line option in the error.
    """
    key, equals, value = text.partition("=")
    for written in (value, '"' + value.strip().replace("\\", "\\\\").replace('"', '\\"') + '"'):
        try:
            if equals:
                return tomllib.loads(f"{key} = {written}")
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    raise UsageError(Fault(option, text, "not of the form key=value"))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a table into another: nested tables are merged, all other values are replaced.

    A table that names another kind, recipe or parts than the one below replaces it, because options of one recipe mean
    nothing to another.
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
    """Return the entries of a table that select what its other entries are options of."""
    return {key: table[key] for key in ("kind", "recipe", "parts") if key in table}


def origin(key: str, layers: Sequence[tuple[str, dict[str, Any]]], default: str) -> str:
    """Return the name of the last layer that has a dotted key, or else the longest prefix of the key.

    Args:
        key: A dotted key.
        layers: Names and tables, the last one wins.
        default: Returned if no layer has any prefix.
    """
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        for where, layer in reversed(layers):
            current: Any = layer
            for part in parts[:length]:
                current = current.get(part) if isinstance(current, dict) else None
            if current is not None:
                return str(where)
    return default
