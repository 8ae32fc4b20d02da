"""What identifies a plugin: its distribution, the API version it is made for, its source files, its dependencies."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .code_digest import closure_digest
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
    """Return the SHA-256 of a plugin's Python files and dependencies; "unknown" if it is not a module with a file.

    The files are all those of the package that the plugin is a module of, and what these import from packages of
    plugins, as far as imports are written out.
    """
    if not isinstance(plugin, ModuleType) or plugin.__file__ is None:
        return "unknown"
    file = Path(plugin.__file__)
    source = file.parent if plugin.__package__ else file
    return digest([folder_digest(source), closure_digest([plugin.__name__], strict=False), *dependencies(plugin)])


def dependencies(plugin: Any) -> tuple[str, ...]:
    """Return what else the plugin's results depend on.

    These are names and versions of the distributions in `BENCH_DEPENDS`, and names and digests of the folders of
    Python files in `BENCH_DEPENDS_ON_FOLDERS`, for code that is not installed.
    """
    versions = [f"{name} {importlib.metadata.version(name)}" for name in getattr(plugin, "BENCH_DEPENDS", ())]
    folders = getattr(plugin, "BENCH_DEPENDS_ON_FOLDERS", ())
    return (*versions, *(f"{Path(folder).name} {folder_digest(Path(folder))}" for folder in folders))


def is_own(point: importlib.metadata.EntryPoint) -> bool:
    """Return whether an entry point is bench's own."""
    return distribution_of(point)[0] == "adversarial-bench"


def distribution_of(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Return the name and the version of the distribution that has an entry point."""
    return _name_and_version(point.dist) if point.dist else ("unknown", "0")


@lru_cache(maxsize=256)
def _name_and_version(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    metadata = distribution.metadata  # parsed again at each access
    return metadata["Name"], metadata["Version"]


def skipped(point: importlib.metadata.EntryPoint, blocked: Collection[str]) -> str:
    """Return the reason not to import a plugin; "" if there is none."""
    if point.name in blocked or distribution_of(point)[0] in blocked:
        return "blocked"
    own_only = os.environ.get("BENCH_DISABLE_PLUGIN_AUTOLOAD") == "1"
    return "autoload is off" if own_only and not is_own(point) else ""


def installed_versions(distributions: Iterable[str]) -> list[str]:
    """Return names and versions of distributions, without a version for those that are not installed."""
    found = []
    for name in distributions:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(name)
    return found
