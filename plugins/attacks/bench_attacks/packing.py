"""States as nested tuples of tensors and numbers, which can be kept in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any


def packed(state: Any) -> Any:
    """Return a state with a tuple of its values in place of each dataclass or named tuple."""
    if is_dataclass(state):
        return tuple(packed(getattr(state, field.name)) for field in fields(state))
    return tuple(map(packed, state)) if isinstance(state, tuple) else state


def unpacked(values: Any, like: Any) -> Any:
    """Return the state that `packed` turned into values; `like` is one of the same classes, such as the initial one."""
    if is_dataclass(like):
        names = (field.name for field in fields(like))
        each = (unpacked(value, getattr(like, name)) for name, value in zip(names, values, strict=True))
        made: Callable[..., Any] = type(like)
        return made(*each)
    if isinstance(like, tuple):
        each = (unpacked(value, part) for value, part in zip(values, like, strict=True))
        return type(like)(*each) if hasattr(like, "_fields") else tuple(each)
    return values
