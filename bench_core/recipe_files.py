"""A folder of recipes, one file each, of which a run imports only those that it uses."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from types import ModuleType
from typing import Generic, TypeVar

from .errors import Fault, UsageError

T = TypeVar("T")


class RecipeFiles(Mapping[str, T], Generic[T]):
    """The recipes of a package by the names of its modules. A module is imported when its recipe is first used.

    Args:
        package: The package. Packages inside it are no recipes.
        attribute: The name that a module must have, such as "RECIPE".
        hint: How to write it, for the error of a module without it.
        recipe_of: Returns the recipe of an imported module.
        other: Modules that are no recipes.
    """

    def __init__(
        self,
        package: ModuleType | str,
        attribute: str,
        hint: str,
        recipe_of: Callable[[ModuleType], T],
        other: Collection[str] = (),
    ) -> None:
        self.package = importlib.import_module(package) if isinstance(package, str) else package
        self.attribute, self.hint, self.recipe_of, self.other = attribute, hint, recipe_of, other

    @cached_property
    def names(self) -> tuple[str, ...]:
        found = pkgutil.iter_modules(self.package.__path__)
        return tuple(module.name for module in found if not module.ispkg and module.name not in self.other)

    def __getitem__(self, name: str) -> T:
        """Import a module and return its recipe. Raises KeyError if there is no file, UsageError if it has none."""
        if name not in self.names:
            raise KeyError(name)
        path = f"{self.package.__name__}.{name}"
        try:
            module = importlib.import_module(path)
        except (Exception, SystemExit) as error:
            raise UsageError(Fault(path, "", f"cannot be imported: {type(error).__name__}: {error}")) from error
        if not hasattr(module, self.attribute):
            raise UsageError(Fault(path, self.attribute, f"found none (try {self.hint})"))
        recipe = self.recipe_of(module)
        if not callable(getattr(recipe, "build", None)):
            found = f"{getattr(module, self.attribute)!r:.60}"
            raise UsageError(Fault(path, self.attribute, f"found {found} (try {self.hint})"))
        return recipe

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
