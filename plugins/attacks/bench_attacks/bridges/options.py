"""The options of a library's attacks as JSON: written where the library is imported, read where it is not."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from bench_core.types import Json

TYPES = {kind.__name__: kind for kind in (float, int, bool, str)}


def option(name: str, kind: type | None, default: Any, optional: bool = False) -> dict[str, Any]:
    """Return an option as JSON: its type (None where unknown), whether it is a list or may be None, its default.

    The default is `inspect.Parameter.empty` for an option that must be given.
    """
    many = isinstance(default, tuple)
    described = {"name": name, "type": kind and kind.__name__, "many": many, "optional": optional}
    return described if default is inspect.Parameter.empty else {**described, "default": default}


def parameters(options: Sequence[Json]) -> tuple[inspect.Parameter, ...]:
    """Return options as keyword-only parameters, from what `option` returned for each."""
    return tuple(
        inspect.Parameter(
            given["name"], inspect.Parameter.KEYWORD_ONLY, default=_default(given), annotation=_annotation(given)
        )
        for given in options
    )


def _default(given: Json) -> Any:
    if "default" not in given:
        return inspect.Parameter.empty
    return tuple(given["default"]) if given["many"] else given["default"]


def _annotation(given: Json) -> Any:
    kind = TYPES.get(given["type"])
    if given["many"]:
        return list[kind]  # type: ignore[valid-type]
    return kind | None if kind and given["optional"] else kind
