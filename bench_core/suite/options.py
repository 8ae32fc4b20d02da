"""Lists and validates the options of a recipe, which are the parameters of its `build`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError, create_model

from ..errors import Fault
from .annotations import type_name, with_arithmetic
from .faults import faults_of
from .fields import Strict

Build = Callable[..., Any]


@dataclass(frozen=True)
class Option:
    """An option of a recipe, as `bench plugins` lists it."""

    name: str
    type: str
    default: Any
    required: bool


def options_of(build: Build, host_gives: Sequence[str] = ()) -> list[Option]:
    """List the parameters of a recipe's `build`, without those that the host passes."""
    return [
        Option(p.name, type_name(p.annotation), None if p.default is p.empty else p.default, p.default is p.empty)
        for p in _parameters(build, host_gives)
    ]


def options_table(build: Build, host_gives: Sequence[str] = ()) -> type[Strict]:
    """Return a class that validates the options of a recipe; see `check_options`. Build it once: it is slow."""
    fields: dict[str, Any] = {
        p.name: (with_arithmetic(p.annotation), ... if p.default is p.empty else p.default)
        for p in _parameters(build, host_gives)
    }
    table: type[Strict] = create_model("Options", __base__=Strict, **fields)
    return table


def check_options(
    table: type[Strict], given: Mapping[str, Any], where: str, key: str
) -> tuple[dict[str, Any], list[Fault]]:
    """Validate the options given to a recipe.

    Args:
        table: The recipe's class from `options_table`.
        given: Options by name, as read from the suite.
        where: The suite's file, for faults.
        key: The suite's key of the table with the options, for faults.

    Returns:
        All options, converted to their types and with defaults (empty if there are faults), and the faults.
    """
    try:
        checked = table(**given)
    except ValidationError as error:
        return {}, faults_of(error, table, where, key)
    return {name: getattr(checked, name) for name in table.model_fields}, []


def json_faults(options: Mapping[str, Any], where: str, key: str) -> list[Fault]:
    """Find the options that JSON cannot hold: they could be in no job, address or record."""
    faults = []
    for name, value in options.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            message = f"found {value!r}, expected text, a number, a list or a table of them"
            faults.append(Fault(where, f"{key}.{name}", message))
    return faults


def _parameters(build: Build, host_gives: Sequence[str]) -> list[inspect.Parameter]:
    """Read a signature. Only the options' types are evaluated: others may be imported for type checkers alone."""
    names = vars(sys.modules[getattr(build, "func", build).__module__])
    return [
        p.replace(annotation=_annotation(p.annotation, names))
        for p in inspect.signature(build).parameters.values()
        if p.name not in host_gives and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]


def _annotation(written: Any, names: dict[str, Any]) -> Any:
    """Return the type of a parameter; any type if it states none."""
    if written is inspect.Parameter.empty:
        return Any
    return eval(written, names) if isinstance(written, str) else written
