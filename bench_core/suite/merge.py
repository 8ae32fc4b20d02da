"""Reads the layers of a suite (files, profile, overrides), merges them, and finds the layer that a key comes from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Fault, UsageError
from ..files import read_text

CHOOSING: Mapping[str, Sequence[str]] = {
    "data": ("kind",),
    "attacks": ("recipe", "parts"),
    "metrics": ("recipe",),
    "models": ("recipe",),
}  # the keys of `[data]`, and of each entry of the other tables, that are no options
# `key=value`; a quoted part of the key may contain "=".
OVERRIDE = re.compile(r"""((?:[^="']|"(?:[^"\\]|\\.)*"|'[^']*')*)=(.*)""", re.DOTALL)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises UsageError if it cannot be read or parsed."""
    try:
        return tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:  # tomllib raises ValueError too
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(Fault(str(path), "", f"cannot read: {reason}")) from None


def read_override(text: str, option: str = "--set") -> dict[str, Any]:
    """Parse `key=value` as TOML; a value that is not valid TOML is text. Raises UsageError if it has another form.

    `option` names the command-line option in the error.
    """
    found = OVERRIDE.fullmatch(text)
    key, value = found.groups() if found else ("", "")
    for literal in (value, '"' + value.strip().replace("\\", "\\\\").replace('"', '\\"') + '"'):
        try:
            if found:
                return tomllib.loads(f"{key} = {literal}")
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    raise UsageError(Fault(option, text, "not of the form key=value"))


def override_key(text: str) -> str:
    """Return the dotted key that an override sets, without quotation marks."""
    key, value = list[str](), read_override(text)
    while isinstance(value, dict) and len(value) == 1:
        (name,) = value
        key.append(name)
        value = value[name]
    return ".".join(key)


def merged(base: Mapping[str, Any], over: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Merge the table `over` into `base`: nested tables are merged, all other values are replaced.

    A table that names another kind, recipe or parts replaces the one in `base`, because options of one recipe have no
    meaning for another.

    Args:
        base: A table of a suite.
        over: The table that takes precedence.
        path: The keys that lead to both.
    """
    before, after = _chosen(base, path), _chosen(over, path)
    if before and after and before != after:
        return dict(over)
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value, (*path, key)) if both and old is not None else value
    return result


def _chosen(table: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the entries of a table that choose a recipe or kind; its other entries are the options of that."""
    choosing = CHOOSING.get(path[0], ()) if path and len(path) == (1 if path[0] == "data" else 2) else ()
    return {key: table[key] for key in choosing if key in table}


def origin(key: str, layers: Sequence[tuple[str, dict[str, Any]]], default: str) -> str:
    """Return the name of the last layer that has a dotted key, or else the longest prefix of it.

    Args:
        key: A dotted key.
        layers: Pairs of name and table, in order of increasing priority.
        default: The name to return if no layer has any prefix.
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
