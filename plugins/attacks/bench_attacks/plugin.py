"""The attacks that come with bench: the `RECIPES` of all files in `parts/`, found by scanning the folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

from bench_core.errors import Fault, UsageError
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

from . import parts


def recipes_of(package: ModuleType) -> dict[str, AttackRecipe]:
    """Return the `RECIPES` of all modules of a package, by name.

    Raises UsageError if two modules offer the same name, or a module has no `RECIPES`.
    """
    recipes: dict[str, AttackRecipe] = {}
    offered_by: dict[str, str] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        offered = getattr(importlib.import_module(module.name), "RECIPES", None)
        if offered is None:
            raise UsageError(Fault(module.name, "RECIPES", "found none (try RECIPES = {NAME: recipe(PART)})"))
        for name, recipe in offered.items():
            if name in recipes:
                raise UsageError(Fault(package.__name__, name, f"both {offered_by[name]} and {module.name} offer it"))
            recipes[name], offered_by[name] = recipe, module.name
    return recipes


RECIPES = recipes_of(parts)


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return RECIPES
