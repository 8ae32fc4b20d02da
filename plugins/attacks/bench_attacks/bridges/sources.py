"""Reads from a library's source what its classes take, so that listing them need not import it (and torch)."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TYPES: Mapping[str, type] = {"float": float, "int": int, "bool": bool, "str": str}


@dataclass(frozen=True)
class Description:
    """What the source of a class says: its docstring, its constructor's parameters less `self`, its own text."""

    doc: str
    parameters: tuple[inspect.Parameter, ...]
    text: str


def reexported(package: Path, below: str) -> dict[str, Path]:
    """Give the names that a package's `__init__` takes from its modules below `below` (any), with their files."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.name: (package / each.module.replace(".", "/")).with_suffix(".py")
        for each in tree.body
        if isinstance(each, ast.ImportFrom) and each.module and each.module.startswith(f"{below}." if below else "")
        for alias in each.names
    }


def aliases(package: Path) -> list[str]:
    """Give the second names that a package's `__init__` has for what it takes from elsewhere, `NEW = OLD`."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    second = [each for each in tree.body if isinstance(each, ast.Assign) and isinstance(each.value, ast.Name)]
    return [target.id for each in second for target in each.targets if isinstance(target, ast.Name)]


@cache
def describe(file: Path, name: str) -> Description:
    """Describe a class of a source file. Raises ValueError where the file has no such class with a constructor."""
    text = file.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            doc = ast.get_docstring(node) or ""
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                    return Description(doc, _parameters(each.args, doc), ast.get_source_segment(text, node) or "")
    raise ValueError(f"{file} has no class {name} with a constructor")


def _parameters(arguments: ast.arguments, doc: str) -> tuple[inspect.Parameter, ...]:
    names = [each.arg for each in arguments.args[1:]]
    defaults = [inspect.Parameter.empty] * (len(names) - len(arguments.defaults))
    defaults += [_value(each) for each in arguments.defaults]
    return tuple(
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_type(name, default, doc))
        for name, default in zip(names, defaults, strict=True)
    )


def _value(node: ast.expr) -> Any:
    """Evaluate a default such as `8 / 255`: constants, arithmetic and tuples, no names."""
    return eval(compile(ast.Expression(node), "default", "eval"), {"__builtins__": {}})


def _type(name: str, default: Any, doc: str) -> Any:
    """Take the type of the default; a whole number may be meant as a float, and then the docstring says so."""
    said = re.search(rf"^\s*{name} \((\w+)\)", doc, re.MULTILINE)
    named = TYPES.get(said.group(1)) if said else None
    if isinstance(default, tuple):
        return list[type(default[0])]  # type: ignore[misc]
    if isinstance(default, int) and not isinstance(default, bool) and named is float:
        return float
    return named if default is None or default is inspect.Parameter.empty else type(default)
