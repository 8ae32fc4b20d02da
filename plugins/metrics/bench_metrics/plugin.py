"""Offers every metric of this package: the `METRIC` of each file beside this one, under the file's name.

`METRIC` is the class that builds it. `EXAMPLES`, which is optional, has options with which `bench check` takes less
than a second. `DEPENDS`, optional too, has the distributions whose versions the rows depend on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from bench_core.hookspecs import hookimpl
from bench_core.recipe_files import RecipeFiles
from bench_core.types import MetricRecipe


def recipe_of(module: ModuleType) -> MetricRecipe:
    """Return the recipe of a metric's module, with the first line of the class's docstring as its summary."""
    summary = (module.METRIC.__doc__ or "").strip().partition("\n")[0]
    return MetricRecipe(module.METRIC, summary, getattr(module, "EXAMPLES", ()), getattr(module, "DEPENDS", ()))


RECIPES: RecipeFiles[MetricRecipe] = RecipeFiles(__package__, "METRIC", "METRIC = CLASS", recipe_of, other=["plugin"])


@hookimpl
def bench_metrics() -> Mapping[str, MetricRecipe]:
    return RECIPES
