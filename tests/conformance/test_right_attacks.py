"""Right attacks that the kit must not call wrong, each unusual in one way."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from bench_core.types import AttackRecipe, Budget, Cost, Examples, Model, Streams

from .ascent import Ascent, last, recipe, usual
from .offering import verdicts


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


class GlobalDraws(Ascent):
    """An attack that draws from torch's generator, as the attacks of libraries do."""

    global_seed = True


def global_draws(gradient: Any, **declared: str) -> AttackRecipe:
    class Declared(GlobalDraws):
        deviations = declared

    return AttackRecipe(lambda budget: Declared(budget, gradient=gradient), "It draws from the global generators.")


def noisy(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    return usual(attack, model, images + 0.01 * torch.randn_like(images), examples)


def mixed(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """The gradient at a mixture with another image of the batch (Admix)."""
    return usual(attack, model, images + 0.2 * images[torch.randperm(len(images))], examples)


def single_images_fail(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    if len(images) == 1:
        raise IndexError("no other image to mix")
    return noisy(attack, model, images, examples)


def test_global_draws_excuse_other_draws_but_no_coupling_of_images() -> None:
    (found, _) = verdicts("attacks", global_draws(noisy), {"batch_independence"})
    assert found.status == "declared"
    assert "global_seed = True" in found.message
    (found, _) = verdicts("attacks", global_draws(usual), {"batch_independence"})
    assert found.status == "holds"
    (found, _) = verdicts("attacks", global_draws(mixed), {"batch_independence"})
    assert found.status == "broken"
    assert "beside other images, with the same seed" in found.message
    (found, _) = verdicts("attacks", global_draws(mixed, batch_independence="it mixes images"), {"batch_independence"})
    assert found.status == "declared"
    assert "it mixes images" in found.message


def test_an_exception_is_never_declared() -> None:
    declared = {"batch_independence": "it mixes images", "one_image": "it mixes images"}
    found = verdicts("attacks", global_draws(single_images_fail, **declared), set(declared))
    assert [each.status for each in found] == ["broken"] * 4
    assert all("raised IndexError: no other image to mix" in each.message for each in found)


def along_the_last_step(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """The gradient at points along the last step (EMI); before the first step they are the same point."""
    back = images - attack.memory.get("last", images)
    attack.memory["last"] = images
    points = (images + share * back for share in (-0.7, -0.3, 0.3, 0.7))
    return torch.stack([usual(attack, model, point, examples) for point in points]).sum(0)


def test_points_that_coincide_in_the_first_step_are_no_repetition() -> None:
    assert not not_holding(recipe(gradient=along_the_last_step), {"batching"})


class AllOrNothing(Ascent):
    """Ascent that returns the clean image where it fails."""

    all_or_nothing = True

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        *_, images = super().__call__(model, examples, rng)
        with torch.no_grad():
            fooled = model(images).argmax(1) != examples.labels
        yield images.where(fooled.view(-1, 1, 1, 1), examples.images)


class Boasting(Ascent):
    all_or_nothing = True


def boasting(budget: Budget) -> Boasting:
    return Boasting(budget)


def test_an_attack_that_returns_clean_images_where_it_fails_is_judged_by_what_it_declares() -> None:
    found = verdicts(
        "attacks", AttackRecipe(lambda budget: AllOrNothing(budget, cost=Cost(forwards_once=1)), "A search.")
    )
    assert not [str(verdict) for verdict in found if verdict.status == "broken"]
    skipped = {verdict.rule for verdict in found if verdict.status == "unasked"}
    assert skipped == {
        "first_step",
        "random_start",
        "zero_gradient",
        "ascent",
        "targeted",
        "lowers_interaction",
        "queries",
    }
    wrong = AttackRecipe(boasting, "It declares what it does not do.")
    assert {each.status for each in verdicts("attacks", wrong, {"all_or_nothing"})} == {"broken"}


def test_an_undeclared_cost_is_counted_too() -> None:
    class Silent:
        def __init__(self, budget: Budget) -> None:
            self.run = Ascent(budget)

        def __call__(self, *given: Any) -> Iterator[Tensor]:
            return self.run(*given)

    (found, _) = verdicts("attacks", AttackRecipe(Silent, "Silent."), {"cost"})
    assert found.status == "unasked"
    assert "counted 5 forwards and 5 backwards" in found.message


class OfAttention(Ascent):
    """An attack that accepts only networks with attention."""

    def check_source(self, model: Model) -> str | None:
        attentive = any(name.endswith("attn") for name, _ in model.named_modules())
        return None if attentive else "the source has no attention"


def test_an_attack_on_attention_is_checked_on_a_transformer() -> None:
    def build(budget: Budget) -> OfAttention:
        return OfAttention(budget)

    offered = AttackRecipe(build, "It changes attention.")
    rules = {"contract", "batch_independence", "zero_gradient", "inplace_network", "channels_last", "two_classes"}
    assert not not_holding(offered, rules)
