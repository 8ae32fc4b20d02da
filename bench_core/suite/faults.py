"""Converts pydantic's errors to faults with dotted keys and hints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import Fault, did_you_mean
from .annotations import is_table, keys_at, members_of, type_at, type_name

VALIDATORS = ("function-before", "constrained-float")  # parts of pydantic's paths that are not keys


def faults_of(error: ValidationError, table: type[BaseModel], where: str, prefix: str = "") -> list[Fault]:
    """Convert pydantic's errors about a table.

    Args:
        error: What pydantic raised.
        table: The class of the table that was validated.
        where: The file, for the faults.
        prefix: The dotted key of the table in the file; "" for the complete file.

    Returns:
        One fault for each value that is wrong.
    """
    faults = []
    for detail in _one_per_value(error.errors(), table):
        depth, expected = _union_on(table, detail["loc"])
        path = [str(part) for part in detail["loc"][:depth] if part not in VALIDATORS]
        message = detail["msg"].removeprefix("Value error, ")
        if expected:
            message = f"found {shortened(detail['input'])}, expected {expected}"
        elif detail["type"] == "extra_forbidden":
            message = f"unknown key {did_you_mean(path[-1], keys_at(table, path[:-1]))}"
        elif detail["type"] == "union_tag_invalid":
            path.append(detail["ctx"]["discriminator"].strip("'"))
            tags = [tag.strip("' ") for tag in detail["ctx"]["expected_tags"].split(",")]
            message = f'found "{detail["ctx"]["tag"]}" {did_you_mean(detail["ctx"]["tag"], tags)}'
        elif detail["type"] == "union_tag_not_found":
            path.append(detail["ctx"]["discriminator"].strip("'"))
            message = "missing"
        elif detail["type"] == "missing":
            message = "missing"
        elif not message.startswith("found"):
            message = f"{message[0].lower()}{message[1:]}, found {shortened(detail['input'])}"
        faults.append(Fault(where, ".".join(filter(None, [prefix, *path])), message))
    return faults


def _one_per_value(errors: Sequence[ErrorDetails], table: type[BaseModel]) -> list[ErrorDetails]:
    """Keep one error per value of a union type, because pydantic reports at least one for each member of the union."""
    kept: dict[object, ErrorDetails] = {}
    for index, detail in enumerate(errors):
        depth, expected = _union_on(table, detail["loc"])
        value = detail["loc"][:depth] if expected else index
        kept[value] = min(kept.get(value, detail), detail, key=lambda error: len(error["loc"]))
    return list(kept.values())


def _union_on(table: type[BaseModel], path: Sequence[int | str]) -> tuple[int, str]:
    """Return the length of a path up to a value of a union type, and the type's name; the full length and "" if none.

    Below such a value, pydantic's path contains names of the union's members, which are not keys. Unions of tables do
    not count, because the key `kind` decides which member is meant.
    """
    current: Any = table
    for depth, part in enumerate(path):
        members = [member for member in members_of(current) if member is not type(None)]
        if len(members) > 1:
            return (len(path), "") if any(map(is_table, members)) else (depth, type_name(current))
        current = type_at(members[0], part) if members else None
    return len(path), ""


def shortened(value: object) -> str:
    """Return a value as Python writes it, on one line of at most 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python prints
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
