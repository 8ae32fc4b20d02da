"""What identifies a plugin's code: the API version it is made for, its source files, its dependencies."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from .digests import digest, folder_digest
from .types import API_OLDEST, API_VERSION


def check_api(wanted: Any) -> None:
    """Raise RuntimeError if a plugin is made for a version of the API that this host does not support."""
    if not isinstance(wanted, int):
        raise RuntimeError(f"BENCH_API_VERSION: found {wanted!r}, expected an integer (try {API_VERSION})")
    if wanted > API_VERSION:
        raise RuntimeError(f"made for plugin API {wanted}, this host has {API_VERSION} (try a newer bench)")
    if wanted < API_OLDEST:
        supported = f"supports {API_OLDEST} to {API_VERSION}"
        raise RuntimeError(f"made for plugin API {wanted}, this host {supported} (try a newer release of the plugin)")


def source_digest(plugin: Any) -> str:
    """Return the SHA-256 of a plugin's Python files and dependencies; "unknown" if it is not a module with a file."""
    if not isinstance(plugin, ModuleType) or plugin.__file__ is None:
        return "unknown"
    return digest([folder_digest(_source(plugin)), *dependencies(plugin)])


def _source(plugin: ModuleType) -> Path:
    """Return the folder of the outermost package that contains a plugin, or the plugin's file if it is in none.

    A namespace package has no file and is ignored, because other distributions may share it.
    """
    file, package = Path(plugin.__file__ or ""), plugin.__package__
    if not package:
        return file
    parts = package.split(".")
    packages = [sys.modules.get(".".join(parts[:length])) for length in range(1, len(parts) + 1)]
    files = [package_file for module in packages if (package_file := getattr(module, "__file__", None))]
    return Path(files[0]).parent if files else file.parent


def dependencies(plugin: Any) -> tuple[str, ...]:
    """Return names and versions of the distributions in `BENCH_DEPENDS`, on which the plugin's results depend."""
    return tuple(f"{name} {importlib.metadata.version(name)}" for name in getattr(plugin, "BENCH_DEPENDS", ()))
