"""Attacks composed of parts in a suite, and the messages for parts that exclude each other."""

from itertools import combinations

import pytest
import torch

from bench_attacks.compose import composed, join
from bench_attacks.plugin import RECIPES
from bench_core.errors import UsageError
from bench_core.planning.resolve import ResolvedSuite, resolve
from bench_core.suite.load import load_suite

from .scene import SMALL, budget, build, examples, network_for, run

OPTIONS = SMALL | {"grid": 3, "cells": 3, "patch_grid": 3}


def fitting(name: str) -> dict[str, int]:
    return {key: value for key, value in OPTIONS.items() if key in RECIPES[name].build.__signature__.parameters}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hybrid_ir", ["mi", "vr", "sgm", "ir"]), ("sgm_ir", ["sgm", "ir"]), ("ti_ir", ["ti", "ir"]),
        ("pna_patchout", ["pna", "patchout", "mi"]),
    ],
)  # fmt: skip
def test_a_named_composition_is_its_parts_in_any_order(name: str, parts: list[str]) -> None:
    attack = build(name, budget(), **fitting(name))
    given, model = examples(), network_for(attack)
    expected = run(attack, model, given)
    for order in (parts, parts[::-1]):
        joined = join([RECIPES[part] for part in order]).build(budget(), **fitting(name))
        for images, expected_images in zip(run(joined, model, given), expected, strict=True):
            torch.testing.assert_close(images, expected_images, rtol=0, atol=1e-9)


SMALLEST = {name: value for recipe in RECIPES.values() for small in recipe.examples for name, value in small.items()}
COMPOSABLE = sorted(name for name, recipe in RECIPES.items() if recipe.join)


@pytest.mark.parametrize(("first", "second"), list(combinations(COMPOSABLE, 2)))
def test_any_two_parts_can_be_combined_or_say_why_not(first: str, second: str) -> None:
    try:
        recipe = join([RECIPES[first], RECIPES[second]])
    except ValueError as error:
        reason = str(error)
    else:
        reason = ""
    if reason:
        assert reason.startswith("two parts of one attack both ") or reason.endswith("(try only one)")
        return
    shared = {key: value for key, value in (SMALLEST | OPTIONS).items() if key in recipe.build.__signature__.parameters}
    given = examples(2, targeted=True)
    attack = recipe.build(budget("l2", targeted=True, steps=2), **shared)
    model, accepts = network_for(attack), lambda _given: None
    rejected = getattr(attack, "check", accepts)((1, 6, 6)) or getattr(attack, "check_source", accepts)(model)
    assert not rejected or "(try " in str(rejected)
    for images in [] if rejected else run(attack, model, given):
        assert images.isfinite().all()
        assert (images - given.images).flatten(1).norm(dim=1).max() <= 0.9 + 1e-9


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["fgsm", "single_step"], "both set the only step"),
        (["vr", "interaction_only"], "both set the loss"),
        (["ir", "interaction_only"], "ir, interaction_only both have the options cells, grid, samples"),
        (["mi", "mi"], "both have the part mi"),
        (["sgm", "sgm_ir"], "both have the part sgm"),
        (["raw", "raw"], "both have the part raw"),
        (["until_success", "until_utility"], "both set the goal"),
        (["relaxed", "until_success"], "both decide when an image stops"),
    ],
)
def test_parts_that_cannot_be_combined_are_rejected(parts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        join([RECIPES[part] for part in parts])
    with pytest.raises(ValueError, match=message):
        composed("", *(part for name in parts for part in RECIPES[name].parts))


def planned(suite: str, registry: object) -> ResolvedSuite:
    return resolve(load_suite(suite), registry)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ('{ parts = ["mi", "noise"] }', "cannot be combined"),
        ('{ parts = ["mi", "recover"] }', "cannot be combined"),
        ('{ recipe = "until_utility", tolerance = 0 }', "attacks.PGD.tolerance"),
        ('{ parts = ["fgsm", "single_step"] }', "both set the only step"),
        ('{ recipe = "single_step", clip = false }', "attacks.PGD.clip: found false, but the step of 0.12"),
        ('{ recipe = "relaxed" }', "attacks.PGD.norm: found a budget in linf"),
        ('{ recipe = "ti", kernel = 4 }', "attacks.PGD.kernel: found 4"),
        ('{ recipe = "ir" }', "attacks.PGD.grid: found 16, which does not divide 4 x 4"),
        ('{ recipe = "mi", decay = "mean" }', "attacks.PGD.decay"),
        ('{ recipe = "sgm", gamma = 2 }', "attacks.PGD.gamma"),
        ('{ recipe = "mi", strength = 2 }', "attacks.PGD.strength: unknown key"),
    ],
)
def test_a_mistake_in_a_suite_is_reported_before_the_run(attack: str, message: str, registry, write_suite) -> None:
    with pytest.raises(UsageError) as error:
        planned(write_suite(('{ recipe = "pgd" }', attack)), registry)
    assert message in str(error.value)


@pytest.mark.parametrize("ensemble", ["logits", "probabilities", "losses"])
@pytest.mark.parametrize("targeted", ["true", "false"])
def test_a_suite_runs_any_composition(ensemble: str, targeted: str, registry, write_suite, tmp_path) -> None:
    from bench_core.run_suite import run as run_suite

    suite = write_suite(
        ('"PGD" = { recipe = "pgd" }', '"X" = { parts = ["mi", "vr", "ti", "ir"], grid = 2, cells = 1, samples = 2 }'),
        ('title = "toy"', f'title = "toy"\nensemble = "{ensemble}"\ntargeted = {targeted}\nrandom_start = true'),
    )
    result = run_suite(suite, out=tmp_path, registry=registry, executor="inline")
    assert result.complete
    passes = [score.score.value for score in result.scores if score.metric == "attack.forwards"]
    of_a_network = 1 + 4 * (1 + 20 + 4)
    assert passes == pytest.approx([of_a_network, 2 * of_a_network]), "the second source has two networks"
    assert all(score.score.value == 0 for score in result.scores if score.metric == "attack.zero_gradients")
