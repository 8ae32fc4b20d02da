"""Reads from timm's source where its weights are, so that a plan need not import it (and torch)."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ENTRY = re.compile(r"^ +['\"](\w+\.\w+)['\"]: ?(?:\w+\(|\{)", re.MULTILINE)


@dataclass(frozen=True)
class Published:
    """Where weights are: in a repository of the hub, or at an address whose file lands in torch's cache."""

    repository: str = ""
    url: str = ""


@cache
def sources() -> dict[Path, str]:
    """Give the text of each file that describes networks."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        return {}
    return {file: file.read_text("utf-8") for file in sorted((Path(spec.origin).parent / "models").glob("*.py"))}


@cache
def names() -> dict[str, Path]:
    """Give the names of all described networks, tag included (`inception_v3.tf_in1k`), with the file of each."""
    return {name: file for file, text in sources().items() for name in ENTRY.findall(text)}


@cache
def published(name: str) -> Published:
    """Say where the weights of a network are. Raises KeyError where there are none."""
    return _read(_described(names()[name])[name], name)


@cache
def _described(file: Path) -> dict[str, ast.expr]:
    tree = ast.parse(sources()[file])
    return {key: value for node in ast.walk(tree) if isinstance(node, ast.Dict) for key, value in _entries(node)}


def _read(settings: ast.expr, name: str) -> Published:
    found = {
        key: value.value
        for node in ast.walk(settings)
        for key, value in _entries(node)
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    }
    repository = found.get("hf_hub_id", "")
    if repository:
        return Published(repository + name if repository.endswith("/") else repository)
    if found.get("url"):
        return Published(url=found["url"])
    raise KeyError(name)


def _entries(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Give the names and values of a dictionary's entries or a call's keywords."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value
    if isinstance(node, ast.Call):
        for each in node.keywords:
            if each.arg:
                yield each.arg, each.value
