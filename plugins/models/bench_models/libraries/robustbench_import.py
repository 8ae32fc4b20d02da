"""Imports robustbench, which needs two modules that a fresh environment does not have.

robustbench 1.1 imports `pkg_resources`, which setuptools dropped, and `autoattack`, while its dependencies install
`pyautoattack`. Where they are missing, stand-ins are provided: `pyautoattack` under the other name, and a module with
the one function that is used.
"""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def robustbench() -> Any:
    """Import and return the package."""
    if importlib.util.find_spec("autoattack") is None:
        sys.modules["autoattack"] = importlib.import_module("pyautoattack")
        sys.modules["autoattack.state"] = importlib.import_module("pyautoattack.state")
    with _resources():
        importlib.import_module("robustbench.loaders")
    return importlib.import_module("robustbench")


@contextmanager
def _resources() -> Iterator[None]:
    """Provide `pkg_resources` where it is missing, only during the import: other libraries test whether it exists."""
    if "pkg_resources" in sys.modules or importlib.util.find_spec("pkg_resources") is not None:
        yield
        return
    stand_in: Any = types.ModuleType("pkg_resources")
    stand_in.resource_filename = _resource_filename
    sys.modules["pkg_resources"] = stand_in
    try:
        yield
    finally:
        del sys.modules["pkg_resources"]


def _resource_filename(module: str, name: str) -> str:
    package = module if hasattr(sys.modules[module], "__path__") else module.rpartition(".")[0]
    return str(importlib.resources.files(package) / name)
