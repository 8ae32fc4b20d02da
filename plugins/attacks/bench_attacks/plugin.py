"""What this package offers to bench."""

from collections.abc import Mapping

from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

from .recipes import RECIPES


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return RECIPES
