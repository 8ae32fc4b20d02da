"""Reads from torchvision's source which networks and weights it has, so that a plan need not import it (and torch)."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MEGABYTE = 2**20


@dataclass(frozen=True)
class Published:
    """Weights that torchvision publishes: `size` in bytes, to three digits of a megabyte."""

    url: str
    size: int


@cache
def networks() -> Mapping[str, Path]:
    """Give the names of all classification networks, with the file of each."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return {}
    found = {}
    for file in sorted((Path(spec.origin).parent / "models").glob("*.py")):
        for name in re.findall(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", file.read_text("utf-8"), re.MULTILINE):
            found[name] = file
    return found


@cache
def weights(name: str) -> Mapping[str, Published]:
    """Give the weights of a network by the names of their enum. Raises KeyError where there is no such network."""
    tree = ast.parse(networks()[name].read_text("utf-8"))
    enum = next(
        re.findall(r"\w+_Weights", ast.unparse(node.args))[0]
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum)
    return {
        line.targets[0].id: Published(constants["url"], round(float(constants.get("_file_size", 0)) * MEGABYTE))
        for line in body
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and isinstance(line.value, ast.Call)
        for constants in [dict(_constants(line.value))]
    }


def _constants(call: ast.Call) -> Iterator[tuple[str, str]]:
    """Give the keyword arguments and dictionary entries within a call whose values are constants."""
    for node in ast.walk(call):
        if isinstance(node, ast.keyword) and node.arg and isinstance(node.value, ast.Constant):
            yield node.arg, str(node.value.value)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                    yield str(key.value), str(value.value)
