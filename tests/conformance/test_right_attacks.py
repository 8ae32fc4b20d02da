"""Right attacks that the kit must not call wrong, each unusual in one way."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from torch import Tensor

from bench_core.types import AttackRecipe, Examples, Model

from .offering import verdicts
from .test_wrong_attacks import Ascent, last, recipe, usual


def not_holding(wrong: AttackRecipe, rules: Collection[str] = ()) -> list[str]:
    return [str(verdict) for verdict in verdicts("attacks", wrong, rules) if verdict.status != "holds"]


def flattens_gradient(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    gradient = usual(attack, model, images, examples)
    return gradient / gradient.view(len(gradient), -1).norm(dim=1).view(-1, 1, 1, 1)


def test_a_gradient_may_be_flattened_with_view() -> None:
    assert not not_holding(recipe(gradient=flattens_gradient), {"channels_last", "contract"})


@pytest.mark.parametrize("yields", [last, list])
def test_an_attack_may_yield_at_its_end(yields: Any) -> None:
    assert not not_holding(recipe(yields=yields), {"zero_gradient"})
