"""One TOML value -> one typed value; options of a recipe, read from its signature and checked."""

from __future__ import annotations

import ast
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from ..errors import Fault, did_you_mean


def number(value: Any) -> Any:
    """Read "16/255" or "16*sqrt(150528)/255" as the number it is; anything else passes on unchanged.

    Raises ValueError where a text is no such arithmetic.
    """
    if not isinstance(value, str):
        return value
    try:
        return _evaluate(ast.parse(value.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        raise ValueError('found a text that is no number (would do: 0.06, "16/255", "16*sqrt(784)/255")') from None


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _evaluate(left) * _evaluate(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _evaluate(left) / _evaluate(right)
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return math.sqrt(_evaluate(argument))
    raise ValueError


Number = Annotated[float, BeforeValidator(number)]
Label = Annotated[str, Field(min_length=1, max_length=120)]


class Strict(BaseModel):
    """A table of a suite: unknown keys are faults, nothing is coerced by guess."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Option:
    """An option of a recipe, as `bench plugins` lists it."""

    name: str
    type: str
    default: Any
    required: bool


def _parameters(build: Callable[..., Any], host_gives: Sequence[str]) -> list[inspect.Parameter]:
    """Read the signature, evaluating the types of the options alone: other names may be imported for checkers only."""
    names = vars(sys.modules[build.__module__])
    return [
        p.replace(annotation=eval(p.annotation, names) if isinstance(p.annotation, str) else p.annotation)
        for p in inspect.signature(build).parameters.values()
        if p.name not in host_gives and p.kind is not p.VAR_KEYWORD
    ]


def options_of(build: Callable[..., Any], host_gives: Sequence[str] = ()) -> list[Option]:
    """List the options of a recipe's `build`, less the parameters that the host gives itself."""
    return [
        Option(p.name, type_name(p.annotation), None if p.default is p.empty else p.default, p.default is p.empty)
        for p in _parameters(build, host_gives)
    ]


def type_name(annotation: Any) -> str:
    """Say a type as a user would: `float >= 0`, `"linf" or "l2"`, `list of str`."""
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
        return " or ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in arguments)
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}" if arguments else "list"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if each is type(None) else type_name(each) for each in arguments)
    return getattr(annotation, "__name__", str(annotation))


def _readable(annotation: Any) -> Any:
    """Let every float of an option's type be written as arithmetic, bounds kept."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is float:
        return Number
    if origin is Annotated:
        return Annotated[(_readable(arguments[0]), *arguments[1:])]
    if origin in (list, tuple):
        return list[_readable(arguments[0])]  # type: ignore[misc]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_readable(each) for each in arguments)]  # noqa: UP007
    return annotation


def check_options(
    build: Callable[..., Any], given: Mapping[str, Any], where: str, key: str, host_gives: Sequence[str] = ()
) -> tuple[dict[str, Any], list[Fault]]:
    """Give all options of a recipe, defaults included and typed, and the faults of those given."""
    fields: dict[str, Any] = {
        p.name: (_readable(p.annotation), ... if p.default is p.empty else p.default)
        for p in _parameters(build, host_gives)
    }
    model: type[Strict] = create_model("Options", __base__=Strict, **fields)
    try:
        checked = model(**given)
    except ValidationError as error:
        return {}, faults_of(error, model, where, key)
    return {name: getattr(checked, name) for name in fields}, []


def faults_of(error: ValidationError, model: type[BaseModel], where: str, prefix: str = "") -> list[Fault]:
    """Turn every fault that pydantic found into one with its dotted key and what would do."""
    faults = []
    for each in _one_for_each_value(error.errors(), model):
        depth, would_do = _choice_on(model, each["loc"])
        path = [str(part) for part in each["loc"][:depth] if part not in ("function-before", "constrained-float")]
        message = each["msg"].removeprefix("Value error, ")
        if would_do:
            message = f"found {_short(each['input'])} (would do: {would_do})"
        elif each["type"] == "extra_forbidden":
            message = f"unknown key {did_you_mean(path[-1], _keys_at(model, path[:-1]))}"
        elif each["type"] == "missing":
            message = "missing"
        elif not message.startswith("found"):
            message = f"{message[0].lower()}{message[1:]}, found {_short(each['input'])}"
        faults.append(Fault(where, ".".join(filter(None, [prefix, *path])), message))
    return faults


def _one_for_each_value(errors: Sequence[Any], model: type[BaseModel]) -> list[Any]:
    """Keep one of the errors about a value that may be of several types: pydantic gives at least one for each type."""
    nearest: dict[Any, Any] = {}
    for index, each in enumerate(errors):
        depth, would_do = _choice_on(model, each["loc"])
        place = each["loc"][:depth] if would_do else index
        nearest[place] = min(nearest.get(place, each), each, key=lambda error: len(error["loc"]))
    return list(nearest.values())


def _choice_on(model: type[BaseModel], path: Sequence[int | str]) -> tuple[int, str]:
    """Give how much of a path leads to a value that may be of several types, and these; all of it and "" elsewhere.

    What follows there is pydantic's name of one of the types.
    """
    current: Any = model
    for depth, part in enumerate(path):
        members = [each for each in _members(current) if each is not type(None)]
        if len(members) > 1:
            tables = any(isinstance(each, type) and issubclass(each, BaseModel) for each in members)
            return (len(path), "") if tables else (depth, type_name(current))
        current = _inside(members[0], part) if members else None
    return len(path), ""


def _members(annotation: Any) -> tuple[Any, ...]:
    """Give the types that a value may be of."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _members(arguments[0])
    return arguments if origin in (typing.Union, types.UnionType) else (annotation,)


def _inside(annotation: Any, part: int | str) -> Any:
    """Give the type of what a table or a list holds at a key or a place."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _inside(arguments[0], part)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    return arguments[-1] if origin in (list, tuple, dict) and arguments else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Give the keys that a nested table knows, following the types of the fields."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[part].annotation
        inner = [each for each in typing.get_args(current) if each is not type(None)]
        while inner and not (isinstance(current, type) and issubclass(current, BaseModel)):
            current = inner[-1]
            inner = [each for each in typing.get_args(current) if each is not type(None)]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []
