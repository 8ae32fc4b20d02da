"""Makes an attack of parts: each adds its term, filter or surrogate to plain ascent of the loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from bench_core.types import AttackRecipe, Budget

from .descent import Descent

Part = Callable[..., Descent]
SMALL: Mapping[str, Any] = {"grid": 3, "cells": 3, "samples": 3, "copies": 4, "kernel": 5}  # checked in a second


def options_of(part: Part) -> list[inspect.Parameter]:
    signature = inspect.signature(part, eval_str=True)
    return [each for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY]


def composed(summary: str, *chosen: Part) -> AttackRecipe:
    """Make the recipe that applies some parts, in order, to plain ascent of the loss; its options are all of theirs.

    Raises ValueError where two parts are one, have an option of one name, or set the same thing.
    """
    owned = {part: [each.name for each in options_of(part)] for part in chosen}
    parameters = list(chain.from_iterable(options_of(part) for part in chosen))
    for what, names in (("part", [part.__name__ for part in chosen]), ("option", [each.name for each in parameters])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two parts of one attack both have the {what} {', '.join(twice)}")

    def build(budget: Budget, **options: Any) -> Descent:
        descent = Descent.plain(budget)
        for part in chosen:
            descent = part(descent, **{name: options[name] for name in owned[part] if name in options})
        return descent

    first = inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Budget)
    build.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    build(Budget("l2", 1, 1, 1))  # parts that cannot be together say so now
    small = {each.name: SMALL[each.name] for each in parameters if each.name in SMALL}
    return AttackRecipe(build, summary, parts=chosen, join=join, examples=[small] if small else ())


def join(recipes: Sequence[AttackRecipe]) -> AttackRecipe:
    """Combine recipes into one that has the parts of all."""
    return composed("a composition", *chain.from_iterable(recipe.parts for recipe in recipes))
