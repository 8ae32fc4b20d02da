"""The named attacks: a recipe only names its parts, and takes all their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Gt

from bench_core.types import AttackRecipe, Budget

from . import parts
from .compose import Part, composed
from .noise import GaussianNoise, SignNoise
from .recovery import ThereAndBack


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


def recover(budget: Budget) -> ThereAndBack:
    """Half the steps and eps to fool, the other half back to the true label (arXiv:2103.07364, table 4)."""
    return ThereAndBack(budget)


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
    "until_success": named(parts.until_success),
    "until_utility": named(parts.until_utility),
    "recover": AttackRecipe(recover, first_line(recover)),
    "noise": AttackRecipe(sign_noise, first_line(sign_noise)),
    "gaussian": AttackRecipe(gaussian_noise, first_line(gaussian_noise)),
}
