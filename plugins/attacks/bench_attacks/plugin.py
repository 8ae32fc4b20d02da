"""The attacks that come with bench: the `RECIPE` of each file in `parts/`, under the file's name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import ModuleType

from bench_core.errors import Fault, UsageError
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

from . import parts


class RecipeFiles(Mapping[str, AttackRecipe]):
    """The recipes of a package by the names of its modules. A module is imported when its recipe is first used."""

    def __init__(self, package: ModuleType) -> None:
        self.package = package

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(module.name for module in pkgutil.iter_modules(self.package.__path__))

    def __getitem__(self, name: str) -> AttackRecipe:
        """Import a module and return its `RECIPE`. Raises KeyError if there is no such file, UsageError if it fails."""
        if name not in self.names:
            raise KeyError(name)
        module = f"{self.package.__name__}.{name}"
        try:
            recipe: AttackRecipe | None = getattr(importlib.import_module(module), "RECIPE", None)
        except Exception as error:
            raise UsageError(Fault(module, "", f"cannot be imported: {type(error).__name__}: {error}")) from error
        if recipe is None:
            raise UsageError(Fault(module, "RECIPE", "found none (try RECIPE = recipe(PART))"))
        return recipe

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


RECIPES = RecipeFiles(parts)


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return RECIPES
