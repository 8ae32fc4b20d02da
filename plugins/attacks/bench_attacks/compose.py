"""Attacks made of parts. A part is a function that adds one idea to an attack, starting from projected gradient ascent.

A part has the form `part(attack, *, option=default) -> attack`. Its keyword-only parameters are its options in a suite;
their annotations are the types and bounds. The first line of its docstring is the summary in `bench plugins`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from bench_core.types import AttackRecipe, Budget

from .gradient_attack import GradientAttack

Part = Callable[..., GradientAttack]
Count = Annotated[int, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]  # a probability or a factor
NONE: Mapping[str, Any] = MappingProxyType({})


def options_of(part: Part) -> list[inspect.Parameter]:
    """Return the options of a part: its keyword-only parameters."""
    parameters = inspect.signature(part, eval_str=True).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def first_line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0]


def recipe(part: Part, small: Mapping[str, Any] = NONE) -> AttackRecipe:
    """Return the recipe of the attack that has one part, with the first line of the part's docstring as its summary.

    Args:
        part: The part.
        small: Options that `bench check` uses in place of the defaults, if those take more than a second.
    """
    return composed(first_line(part), part, small=small)


def repeated(names: Sequence[str]) -> list[str]:
    """Return the names that occur more than once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})


def composed(summary: str, *parts: Part, small: Mapping[str, Any] = NONE) -> AttackRecipe:
    """Return the recipe of the attack that applies parts, in order, to projected gradient ascent of the loss.

    Args:
        summary: One line for `bench plugins`.
        parts: The parts. The options of the attack are the options of all of them.
        small: Options that `bench check` uses in place of the defaults, if those take more than a second.

    Raises:
        ValueError: Two parts are the same, have an option of the same name, or set the same field of the attack.
    """
    option_names = {part: [option.name for option in options_of(part)] for part in parts}
    parameters = list(chain.from_iterable(options_of(part) for part in parts))
    twice = repeated([part.__name__ for part in parts])
    if twice:
        raise ValueError(f"two parts of one attack both have the part {', '.join(twice)}")
    twice = repeated([option.name for option in parameters])
    if twice:
        owners = [part.__name__ for part in parts if not set(option_names[part]).isdisjoint(twice)]
        both = "both" if len(owners) == 2 else "all"
        options = f"option{'s' if len(twice) > 1 else ''} {', '.join(twice)}"
        raise ValueError(f"the parts {', '.join(owners)} {both} have the {options}, so they do the same (try only one)")

    def build(budget: Budget, **options: Any) -> GradientAttack:
        attack = GradientAttack.plain(budget)
        for part in parts:
            attack = part(attack, **{name: options[name] for name in option_names[part] if name in options})
        return attack

    first = inspect.Parameter("budget", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Budget)
    build.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    build(Budget("l2", 1, 1, 1))  # to raise now, not in a run, if parts exclude each other
    return AttackRecipe(build, summary, parts=parts, join=join, examples=[dict(small)] if small else ())


def join(recipes: Sequence[AttackRecipe]) -> AttackRecipe:
    """Return the recipe of the attack that has the parts of all recipes. Raises ValueError as `composed` does."""
    parts = chain.from_iterable(recipe.parts for recipe in recipes)
    small = {name: value for recipe in recipes for example in recipe.examples for name, value in example.items()}
    return composed("A composition.", *parts, small=small)
