"""The options of a library's attacks as JSON, written by a process that imports the library and read by others."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from bench_core.types import Json

TYPES = {kind.__name__: kind for kind in (float, int, bool, str)}


def option(name: str, kind: type | None, default: Any, optional: bool = False) -> dict[str, Any]:
    """Return the description of an option as JSON.

    Args:
        name: Its name.
        kind: Its type, or None if unknown.
        default: Its default; `inspect.Parameter.empty` if it is required. A tuple makes it a list of `kind`.
        optional: Whether it may be None.
    """
    many = isinstance(default, tuple)
    described = {"name": name, "type": kind and kind.__name__, "many": many, "optional": optional}
    return described if default is inspect.Parameter.empty else {**described, "default": default}


def parameters(options: Sequence[Json]) -> tuple[inspect.Parameter, ...]:
    """Return keyword-only parameters from the descriptions that `option` returned."""
    return tuple(
        inspect.Parameter(
            described["name"],
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(described),
            annotation=_annotation(described),
        )
        for described in options
    )


def _default(described: Json) -> Any:
    if "default" not in described:
        return inspect.Parameter.empty
    return tuple(described["default"]) if described["many"] else described["default"]


def _annotation(described: Json) -> Any:
    kind = TYPES.get(described["type"])
    if described["many"]:
        return list[kind]  # type: ignore[valid-type]
    return kind | None if kind and described["optional"] else kind
