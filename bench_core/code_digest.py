"""Which source files a recipe's results depend on: its module and all that this imports, read without running any.

A result is stale only where code changed that could have made it: a new metric's file leaves all others' results alone.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

OURS = frozenset({"bench_attacks", "bench_metrics", "bench_models"})  # what a third party's plugin may build upon


class Untraceable(Exception):
    """A module imports by a name made at run time, or has no source file."""


@cache
def _home(package: str) -> Path | None:
    """Give the file or the folder of a top-level module, without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


@cache
def _file(module: str) -> Path | None:
    top, *below = module.split(".")
    home = _home(top)
    if home is None or home.is_file():
        return home if not below else None
    path = home.joinpath(*below)
    return next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None)


def _imports(module: str, file: Path, tree: ast.Module) -> Iterator[str]:
    """Give the full names that a module imports, anywhere in it; of `from a import b`, both `a` and `a.b`."""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield start
            yield from (f"{start}.{alias.name}" for alias in node.names)


@cache
def _read(module: str) -> tuple[bytes, tuple[str, ...]]:
    file = _file(module)
    if file is None:
        raise Untraceable(module)
    content = file.read_bytes()
    if b"import_module(" in content or b"__import__(" in content:
        raise Untraceable(module)
    return content, tuple(_imports(module, file, ast.parse(content)))


def source_files(roots: Iterable[str]) -> dict[str, bytes]:
    """Give the sources of some modules and of all they import, of their own packages and of bench's plugin packages.

    Raises Untraceable where that cannot be known from the source.
    """
    waiting, found = list(roots), dict[str, bytes]()
    followed = OURS | {root.partition(".")[0] for root in waiting}
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        content, imported = _read(module)
        found[module] = content
        parents = [module.rpartition(".")[0]] if "." in module else []
        waiting += [each for each in (*imported, *parents) if each.partition(".")[0] in followed and _file(each)]
    return found


def closure_digest(roots: Iterable[str]) -> str:
    """SHA-256 over the sources of some modules and all they import. Raises Untraceable, see `source_files`."""
    state = hashlib.sha256()
    for module, content in sorted(source_files(roots).items()):
        state.update(f"{module} {len(content)}\n".encode() + content)
    return state.hexdigest()
