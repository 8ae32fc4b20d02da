"""Offers every metric of this package: each module beside this one that has a `METRICS` mapping.

A module's `METRICS` maps names of recipes to the classes that build them; `EXAMPLES`, which is optional, maps some of
these names to options with which `bench check` takes less than a second; `DEPENDS`, which is optional too, to the
distributions whose versions the rows depend on.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bench_core.errors import Fault, UsageError
from bench_core.hookspecs import hookimpl
from bench_core.types import MetricRecipe


def metric_modules() -> Iterator[ModuleType]:
    """Import and yield the modules of this package that have a `METRICS` mapping, in the order of their names."""
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if found.name != "plugin":
            module = importlib.import_module(f"{__package__}.{found.name}")
            if hasattr(module, "METRICS"):
                yield module


def summary(metric: type[Any]) -> str:
    """Return the first line of a class's docstring."""
    return (metric.__doc__ or "").strip().partition("\n")[0]


@hookimpl
def bench_metrics() -> Mapping[str, MetricRecipe]:
    """Return all recipes by name. Raises UsageError if two modules offer the same name."""
    recipes: dict[str, MetricRecipe] = {}
    modules: dict[str, str] = {}
    for module in metric_modules():
        examples, depends = getattr(module, "EXAMPLES", {}), getattr(module, "DEPENDS", {})
        for name, metric in module.METRICS.items():
            if name in recipes:
                message = f"offered by both {modules[name]} and {module.__name__} (rename one)"
                raise UsageError(Fault("plugins", f"metrics.{name}", message))
            recipes[name] = MetricRecipe(metric, summary(metric), examples.get(name, ()), depends.get(name, ()))
            modules[name] = module.__name__
    return recipes
