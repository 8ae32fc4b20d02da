"""SHA-256 of the code that a recipe can run: its module and all that the module imports, without importing them.

A stored result becomes stale only if code that could have produced it changed; a new metric's file leaves the results
of all other metrics valid. Where imports cannot be traced, `registry.Offer.code` falls back to the digest of the whole
plugin (`digests.folder_digest`).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PLUGIN_PACKAGES = frozenset({"bench_attacks", "bench_metrics", "bench_models"})  # third-party plugins may import these


class Untraceable(Exception):
    """A module imports by a name computed at run time, or has no source file."""


@cache
def _home(package: str) -> Path | None:
    """Return the file or folder of a top-level module, without importing it."""
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
    """Return the source file of a module, by its full name."""
    top, *below = module.split(".")
    home = _home(top)
    if home is None or home.is_file():
        return home if not below else None
    path = home.joinpath(*below)
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _imports(module: str, file: Path, tree: ast.Module) -> Iterator[str]:
    """Yield the full names that a module imports, in any scope; for `from a import b`, both `a` and `a.b`."""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield start
            yield from (f"{start}.{alias.name}" for alias in node.names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements below a node, however deep; expressions, which are most of a tree, are left out."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(node, field, ()) if isinstance(getattr(node, field, None), list) else ():
            yield statement
            yield from _statements(statement)


@cache
def _read(module: str) -> tuple[bytes, tuple[str, ...], bool]:
    """Return the source of a module, the names it imports, and whether it imports others by names made at run time.

    Raises Untraceable if it has no source file.
    """
    file = _file(module)
    if file is None:
        raise Untraceable(module)
    content = file.read_bytes()
    dynamic = b"import_module(" in content or b"__import__(" in content
    return content, tuple(_imports(module, file, ast.parse(content))), dynamic


def source_files(roots: Iterable[str], strict: bool = True) -> dict[str, bytes]:
    """Collect the sources of modules and of everything they import, directly or indirectly.

    Only imports within the modules' own packages and bench's plugin packages are followed; libraries are identified by
    their versions.

    Args:
        roots: Full names of modules.
        strict: Whether a module that imports others by names made at run time is an error. If not, those imports are
            left out.

    Returns:
        Sources by module name.

    Raises:
        Untraceable: If the imports cannot be known from the source.
    """
    waiting, found = list(roots), dict[str, bytes]()
    followed = PLUGIN_PACKAGES | {root.partition(".")[0] for root in waiting}
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        content, imported, dynamic = _read(module)
        if dynamic and strict:
            raise Untraceable(module)
        found[module] = content
        parents = [module.rpartition(".")[0]] if "." in module else []
        waiting += [name for name in (*imported, *parents) if name.partition(".")[0] in followed and _file(name)]
    return found


def closure_digest(roots: Iterable[str], strict: bool = True) -> str:
    """Return the SHA-256 of the sources that `source_files` collects. Raises Untraceable."""
    state = hashlib.sha256()
    for module, content in sorted(source_files(roots, strict).items()):
        state.update(f"{module} {len(content)}\n".encode() + content)
    return state.hexdigest()


def forget() -> None:
    """Read all sources again, which a notebook may have changed since they were read."""
    for cached in (_home, _file, _read):
        cached.cache_clear()
