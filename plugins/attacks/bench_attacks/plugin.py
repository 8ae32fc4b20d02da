"""The attacks that come with bench: the `RECIPE` of each file in `parts/`, under the file's name."""

from __future__ import annotations

from collections.abc import Mapping

from bench_core.hookspecs import hookimpl
from bench_core.recipe_files import RecipeFiles
from bench_core.types import AttackRecipe

from . import parts

RECIPES: RecipeFiles[AttackRecipe] = RecipeFiles(parts, "RECIPE", "RECIPE = recipe(PART)", lambda module: module.RECIPE)


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return RECIPES
