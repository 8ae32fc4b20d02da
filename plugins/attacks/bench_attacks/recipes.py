"""The named attacks: a recipe only names its parts, and takes all their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any

from annotated_types import Gt

from bench_core.types import AttackRecipe, Budget

from . import parts
from .descent import Descent
from .noise import GaussianNoise, SignNoise

Part = Callable[..., Descent]


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
    return AttackRecipe(build, summary, parts=chosen, join=join)


def join(recipes: Sequence[AttackRecipe]) -> AttackRecipe:
    """Combine recipes into one that has the parts of all."""
    return composed("a composition", *chain.from_iterable(recipe.parts for recipe in recipes))


def first_line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0]


def named(*chosen: Part) -> AttackRecipe:
    return composed(first_line(chosen[0]), *chosen)


def sign_noise(budget: Budget) -> SignNoise:
    """The sign of Gaussian noise, as large as the budget allows."""
    return SignNoise(budget)


def gaussian_noise(budget: Budget, length: Annotated[float, Gt(0)] | None = None) -> GaussianNoise:
    """Gaussian noise of a given Euclidean length."""
    return GaussianNoise(budget, length)


RECIPES: Mapping[str, AttackRecipe] = {
    "pgd": composed("Projected gradient ascent of the loss (Madry et al., 2018)."),
    "fgsm": named(parts.fgsm),
    "single_step": named(parts.single_step),
    "raw": named(parts.raw),
    "mi": named(parts.mi),
    "ti": named(parts.ti),
    "vr": named(parts.vr),
    "di": named(parts.di),
    "sgm": named(parts.sgm),
    "ir": named(parts.ir),
    "sgm_ir": composed("Skip gradients and interaction reduction.", parts.sgm, parts.ir),
    "ti_ir": composed("Translation invariance and interaction reduction.", parts.ti, parts.ir),
    "hybrid_ir": composed(
        "Momentum, variance reduction, skip gradients and interaction reduction (arXiv:2010.04055, sec. 5).",
        *(parts.mi, parts.vr, parts.sgm, parts.ir),
    ),
    "interaction_only": named(parts.interaction_only),
    "relaxed": named(parts.relaxed),
    "noise": AttackRecipe(sign_noise, first_line(sign_noise)),
    "gaussian": AttackRecipe(gaussian_noise, first_line(gaussian_noise)),
}
