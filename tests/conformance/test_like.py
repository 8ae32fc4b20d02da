"""Mistakes that only a comparison with a reference attack reveals: one wrong attack for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.parts.ir import Interaction
from bench_attacks.plugin import RECIPES
from bench_attacks.run_state import RunState
from bench_attacks.step_rng import StepRng
from bench_core.registry import Registry
from bench_core.testing import RULES, Verdict, applicable, judge, offers, subjects
from bench_core.testing.reference import like, rules_like
from bench_core.types import AttackRecipe, Budget, Cost, Examples, Model, Streams

from .ascent import Ascent, last, length, usual
from .offering import offering, verdicts

GRID = {"grid": 4, "samples": 3, "cells": 5}


@dataclass(frozen=True)
class Drawn(Interaction):
    """Cells drawn with replacement: a cell may be drawn twice, and then one fewer is masked."""

    def points(self, images: Tensor, run: RunState) -> Tensor:
        class Repeating(StepRng):
            def subsets(self, purpose: str, count: int, players: int, size: int) -> Tensor:
                distinct = super().subsets(purpose, count, players, size)
                return distinct & (torch.arange(players) != distinct.long().argmax(-1, keepdim=True))

        repeating = Repeating(run.rng.streams, run.rng.step, run.rng.like)
        return super().points(images, replace(run, rng=repeating))


@dataclass(frozen=True)
class Uncovered(Interaction):
    """The last row and column of pixels are never masked, as where the grid does not divide the side."""

    def points(self, images: Tensor, run: RunState) -> Tensor:
        points = super().points(images, run)
        points[..., -1, :], points[..., :, -1] = images[:, None, :, -1, :], images[:, None, :, :, -1]
        return points


def wrong_ir(term: type[Interaction], strength: float = 1.0) -> Callable[..., GradientAttack]:
    def build(budget: Budget, grid: int = 16, samples: int = 32, cells: int = 32) -> GradientAttack:
        return replace(GradientAttack.plain(budget), extras=(term(strength, grid, samples, cells),))

    return build


def sign_before_momentum(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    key = "m" if "m" in attack.memory else "first"
    gradient = usual(attack, model, images, examples).sign()
    attack.memory["m"] = attack.memory.get(key, torch.zeros_like(gradient)) + gradient
    return attack.memory["m"]


def whole_norm(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    gradient = usual(attack, model, images, examples)
    attack.memory["m"] = attack.memory.get("m", torch.zeros_like(gradient)) + gradient / length(gradient).square()
    return attack.memory["m"]


def some_branches(attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: out.register_hook(lambda g: 0.2 * g) and None)
        for name, module in model.named_modules()
        if name.endswith(".branch") and "2." not in name
    ]
    try:
        return usual(attack, model, images, examples)
    finally:
        for hook in hooks:
            hook.remove()


def ascent(gradient: Any) -> Callable[[Budget], Ascent]:
    return lambda budget: Ascent(budget, gradient=gradient, cost=Cost())


WRONG: Mapping[str, tuple[str, Callable[..., Any], Mapping[str, Any]]] = {
    "interaction with its sign reversed": ("ir", wrong_ir(Interaction, -1.0), GRID),
    "cells drawn with replacement": ("ir", wrong_ir(Drawn), GRID),
    "pixels that no cell covers": ("ir", wrong_ir(Uncovered), GRID),
    "signs accumulated": ("mi", ascent(sign_before_momentum), {}),
    "another norm": ("mi", ascent(whole_norm), {}),
    "a branch left out": ("sgm", ascent(some_branches), {}),
}


@dataclass(frozen=True)
class Declaring:
    """An IR of its own sampling, with or without the wrong sign, that declares that it lowers the interaction."""

    inner: GradientAttack
    lowers_interaction: bool

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        return self.inner(model, examples, rng)


def declaring(sign: float, declares: bool = True) -> AttackRecipe:
    build = wrong_ir(Drawn, sign)
    return AttackRecipe(lambda budget: Declaring(build(budget, **GRID), declares), "IR of other draws.")


@pytest.mark.parametrize(("sign", "expected"), [(1.0, "holds"), (-1.0, "broken"), (0.0, "broken")])
def test_the_interaction_falls_below_that_of_plain_ascent(sign: float, expected: str) -> None:
    found = verdicts("attacks", declaring(sign), {"lowers_interaction"})
    assert [verdict.status for verdict in found] == [expected] * 2, [str(verdict) for verdict in found]
    assert all("of plain ascent" in verdict.message for verdict in found if expected == "broken")


def test_only_what_declares_it_or_is_to_be_like_ir_must_lower_the_interaction() -> None:
    silent = declaring(-1.0, declares=False)
    assert {each.status for each in verdicts("attacks", silent, {"lowers_interaction"})} == {"unasked"}
    registry = offering("attacks", silent)
    assert [rule.name for rule in rules_like(registry, "mi")] == ["like"]
    (_, lowers) = rules_like(registry, "ir")
    assert lowers.name == "lowers_interaction"
    assert {judge(subject, lowers).status for subject in subjects(registry, offers(registry, "mine"))} == {"broken"}


@pytest.mark.parametrize("name", ["ir", "interaction_only", "hybrid_ir", "pgd"])
def test_ir_declares_it_where_nothing_else_differs_from_plain_ascent(installed: Registry, name: str) -> None:
    rule = RULES["attacks"]["lowers_interaction"]
    found = [judge(subject, rule) for subject in subjects(installed, offers(installed, name))]
    assert {each.status for each in found} == {"unasked" if name in ("hybrid_ir", "pgd") else "holds"}, [
        str(each) for each in found
    ]


def compared(name: str, build: Callable[..., Any], options: Mapping[str, Any]) -> list[Verdict]:
    registry = offering("attacks", AttackRecipe(build, "Claims to be another.", examples=[options]))
    rule = like(registry, name)
    return [judge(subject, rule) for subject in subjects(registry, offers(registry, "mine"))]


def status(name: str, build: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    return [verdict.status for verdict in compared(name, build, options)]


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_shows_against_the_reference(mistake: str) -> None:
    assert "broken" in status(*WRONG[mistake])


@pytest.mark.parametrize(("name", "options"), [("ir", GRID), ("mi", {}), ("sgm", {}), ("hybrid_ir", GRID)])
def test_the_reference_agrees_with_itself(name: str, options: Mapping[str, Any]) -> None:
    assert status(name, RECIPES[name].build, options) == ["holds", "holds"]


def test_an_equivalent_formula_agrees_with_the_reference() -> None:
    assert status("pgd", wrong_ir(Interaction, 0.0), GRID) == ["holds", "holds"]
    assert status("ir", wrong_ir(Interaction), GRID) == ["holds", "holds"]


def test_a_reference_gets_the_options_of_its_example_where_the_attack_has_none() -> None:
    found = compared("ir", ascent(usual), {})
    assert "broken" in [verdict.status for verdict in found]
    example = " ".join(f"{name}={value}" for name, value in RECIPES["ir"].examples[0].items())
    for verdict in found:
        assert "raised" not in verdict.message
        assert verdict.status == "holds" or f"differs from ir {example} by" in verdict.message


def test_a_reference_gets_the_defaults_of_the_attack_and_images_that_both_accept() -> None:
    found = compared("ir", wrong_ir(Interaction), {"samples": 3, "cells": 5})  # a grid of 16 by default
    assert [verdict.status for verdict in found] == ["holds", "holds"]


def test_the_reference_is_named_where_it_fails_or_accepts_no_input(installed: Registry) -> None:
    registry = offering("attacks", AttackRecipe(ascent(fails), "Fails.", examples=[{}]))
    for reference, reason in (
        (registry, "the reference mine does not run: raised RuntimeError: a fault of the reference"),
        (offering("attacks", AttackRecipe(picky, "Accepts nothing.")), "mine: it rejects such"),
        (offering("attacks", AttackRecipe(with_option, "Needs text.")), "mine does not accept the same options"),
    ):
        name = "vr" if "options" in reason else "pgd"
        found = [judge(each, like(reference, "mine")) for each in subjects(installed, offers(installed, name))]
        assert {verdict.status for verdict in found} == {"unasked"}
        assert all(verdict.message.startswith(reason) for verdict in found), found


def fails(_attack: Ascent, _model: Model, _images: Tensor, _examples: Examples) -> Tensor:
    raise RuntimeError("a fault of the reference")


class Picky(Ascent):
    def check(self, shape: tuple[int, int, int]) -> str:
        return f"not of the shape {shape}"


def picky(budget: Budget) -> Picky:
    return Picky(budget)


def with_option(budget: Budget, copies: str) -> Ascent:
    return Ascent(budget, memory={copies: torch.zeros(1)})


class AnotherStart(Ascent):
    """Plain ascent from a point that is drawn from another stream than that of bench's attacks."""

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        class Renamed:
            def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
                return rng.uniform(f"my {purpose}", step, shape)

        return super().__call__(model, examples, Renamed())  # type: ignore[arg-type]


def another_start(budget: Budget) -> Ascent:
    return AnotherStart(budget)


def test_a_random_start_of_another_stream_is_no_difference() -> None:
    assert status("pgd", another_start, {}) == ["holds", "holds"]


def test_an_attack_that_yields_only_its_last_images_is_compared_by_these() -> None:
    assert status("pgd", lambda budget: Ascent(budget, yields=last), {}) == ["holds", "holds"]
    assert "broken" in status("mi", lambda budget: Ascent(budget, yields=last), {})


@pytest.mark.parametrize(("name", "reference"), [("torchattacks:PGD", "pgd"), ("pgd", "torchattacks:PGD")])
def test_a_library_with_the_same_attack_is_like_it(installed: Registry, name: str, reference: str) -> None:
    pytest.importorskip("torchattacks")
    (linf, l2) = subjects(installed, offers(installed, name))
    assert judge(linf, like(installed, reference)).status == "holds"
    assert applicable(l2)[0].name == "all" or judge(l2, like(installed, reference)).status == "unasked"
