"""Types of the values in a suite's tables."""

from __future__ import annotations

import ast
import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LONGEST_NUMBER = 200  # characters; the parser takes seconds for a million factors


def number(value: Any) -> Any:
    """Evaluate arithmetic such as "16/255" or "16*sqrt(150528)/255"; return any other type unchanged.

    Raises ValueError if a text is not a product or quotient of numbers and square roots.
    """
    if not isinstance(value, str):
        return value
    try:
        if len(value) > LONGEST_NUMBER:
            raise ValueError
        return _evaluate(ast.parse(value.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        hint = '(try 0.06, "16/255", "16*sqrt(784)/255")'
        raise ValueError(f'found "{value[:60]}", which is not a number {hint}') from None


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
    """A table that rejects unknown keys and infinite numbers, and does not convert values between types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)
