"""The named attacks: a recipe only names its parts, and takes all their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from bench_core.types import AttackRecipe, Budget

from . import parts
from .descent import Descent
from .terms import Loss

Part = Callable[..., Descent]


def options_of(part: Part) -> list[inspect.Parameter]:
    signature = inspect.signature(part, eval_str=True)
    return [each for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY]


def composed(summary: str, *chosen: Part) -> AttackRecipe:
    """Make the recipe that applies some parts, in order, to plain ascent of the loss; its options are all of theirs.

    Raises ValueError where two parts have an option of one name.
    """
    owned = {part: [each.name for each in options_of(part)] for part in chosen}
    parameters = list(chain.from_iterable(options_of(part) for part in chosen))
    names = [each.name for each in parameters]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"two parts of one attack both have the option {', '.join(twice)}")

    def build(budget: Budget, **options: Any) -> Descent:
        descent = Descent(budget, (Loss(budget.loss),))
        for part in chosen:
            descent = part(descent, **{name: options[name] for name in owned[part] if name in options})
        return descent

    first = inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Budget)
    build.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    return AttackRecipe(build, summary, parts=chosen, join=join)


def join(recipes: Sequence[AttackRecipe]) -> AttackRecipe:
    """Combine recipes into one that has the parts of all."""
    return composed("a composition", *chain.from_iterable(recipe.parts for recipe in recipes))


def first_line(part: Part) -> str:
    return (part.__doc__ or "").strip().splitlines()[0]


RECIPES: Mapping[str, AttackRecipe] = {
    "pgd": composed("Projected gradient ascent of the loss (Madry et al., 2018)."),
    "ir": composed(first_line(parts.ir), parts.ir),
}
