"""Type annotations of options and fields: their names for users, and the types that they contain."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from .fields import Number


def type_name(annotation: Any) -> str:
    """Return the name of a type as shown to users: `float >= 0`, `"linf" or "l2"`, `list of str`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        bounds = [
            f"{sign} {getattr(mark, attribute)}"
            for mark in arguments[1:]
            for attribute, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
            if hasattr(mark, attribute)
        ]
        return " ".join([type_name(arguments[0]), *bounds])
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}" if arguments else "list"
    if origin is dict:
        return "table"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if member is types.NoneType else type_name(member) for member in arguments)
    return getattr(annotation, "__name__", str(annotation))


def with_arithmetic(annotation: Any) -> Any:
    """Replace every float in a type by `Number`, which users may write as arithmetic; keep bounds."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is float:
        return Number
    if origin is Annotated:
        return Annotated[(with_arithmetic(arguments[0]), *arguments[1:])]
    if origin in (list, tuple):
        return list[with_arithmetic(arguments[0])]  # type: ignore[misc]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(with_arithmetic(member) for member in arguments)]  # noqa: UP007
    return annotation


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself if it is not a union."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return members_of(arguments[0])
    return arguments if origin in (typing.Union, types.UnionType) else (annotation,)


def type_at(annotation: Any, key: int | str) -> Any:
    """Return the type of the value at a key of a table or an index of a list; None if unknown."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return type_at(arguments[0], key)
    if is_table(annotation):
        field = annotation.model_fields.get(str(key))
        return field.annotation if field else None
    return arguments[-1] if origin in (list, tuple, dict) and arguments else None


def is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def keys_at(table: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the keys of the nested table at a path; of a union of tables, those of the last."""
    current: Any = table
    for key in path:
        if is_table(current) and key in current.model_fields:
            current = current.model_fields[key].annotation
        while not is_table(current) and (inner := _arguments(current)):
            current = inner[-1]
    return list(current.model_fields) if is_table(current) else []


def _arguments(annotation: Any) -> list[Any]:
    return [argument for argument in typing.get_args(annotation) if argument is not types.NoneType]
