"""Attacks on ensembles: AdaEA, CWA and SMER, each against its equations, image by image."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

from bench_attacks.compose import join
from bench_attacks.parts.adaea import member_weights
from bench_attacks.parts.smer import Reinforced
from bench_attacks.plugin import RECIPES
from bench_attacks.walk import Walk
from bench_core.worker.instrument import PassCounter
from bench_models.ensemble import Ensemble

from ..scene import Asleep, budget, build, examples, network, run
from .by_hand import One, follows, mean_unit, slope

MEMBERS = [network(seed=seed) for seed in range(3)]
WIDE = [network(3, seed) for seed in range(3)]


def ensemble(combine: str, channels: int = 1) -> Ensemble:
    return Ensemble(WIDE if channels == 3 else MEMBERS, combine)


def stepped(one: One, at: Tensor, direction: Tensor, length: float) -> Tensor:
    """Return the point one steepest step from another, inside the ball."""
    steepest = direction.sign() if one.limits.norm == "linf" else direction / (direction.norm() or 1)
    return one.inside(at + length * steepest)


def cross_entropy(one: One, logits: Tensor) -> Tensor:
    """Return the cross-entropy of the label, or of the target, whatever the attack ascends."""
    value = one.loss(logits)[0]
    return value if one.given.targets is None else -value


def adaea(one: One, members: list[torch.nn.Module], sharpness: float, threshold: float) -> Iterator[Tensor]:
    momentum, count = torch.zeros_like(one.clean), len(members)
    while True:
        gradients = [one.gradient(one.image, model=member) for member in members]
        points = [stepped(one, one.image, gradient, one.limits.step_size) for gradient in gradients]
        loss = [[cross_entropy(one, member(point[None])) for point in points] for member in members]
        scores = torch.zeros(count, dtype=torch.float64)
        for j in range(count):
            for i in range(count):
                if i != j:
                    ratio = loss[i][j] / loss[i][i]
                    scores[j] += ratio if one.given.targets is None else 1 / ratio
        weights = (sharpness * scores).softmax(0)

        def weighted(at: Tensor, weights: Tensor = weights) -> Tensor:
            return one.loss(sum(w * member(at[None]) for w, member in zip(weights, members, strict=True)))[0]

        pairs = [
            torch.nn.functional.cosine_similarity(first, second, dim=0, eps=1e-300)
            for first, second in permutations(gradients, 2)
        ]
        kept = torch.stack(pairs).mean(0) >= threshold
        momentum = 0.8 * momentum + mean_unit(slope(weighted, one.image) * kept)
        yield momentum


@pytest.mark.parametrize("combine", ["logits", "losses"])
def test_adaea_on_one_channel(combine: str) -> None:
    options = {"sharpness": 3.0, "agreement": -0.2}
    follows("adaea", lambda one: adaea(one, MEMBERS, 3.0, -0.2), ensemble(combine), decay=0.8, **options)


def test_adaea_on_three_channels() -> None:
    options = {"sharpness": 10.0, "agreement": 0.1}
    transcription = lambda one: adaea(one, WIDE, 10.0, 0.1)  # noqa: E731
    follows("adaea", transcription, ensemble("logits", 3), shape=(3, 7, 5), decay=0.8, **options)


def whole(one: One, combine: str) -> Tensor:
    """Return the gradient of the ensemble at the image."""
    if combine == "losses":
        return torch.stack([one.gradient(one.image, model=member) for member in MEMBERS]).mean(0)
    return slope(lambda at: one.loss(sum(member(at[None]) for member in MEMBERS) / 3)[0], one.image)


@pytest.mark.parametrize("combine", ["logits", "losses"])
@pytest.mark.parametrize("inner_step", [250.0, 0.05])
def test_cwa(combine: str, inner_step: float) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        inner, outer = torch.zeros_like(one.clean), torch.zeros_like(one.clean)
        while True:
            walked = stepped(one, one.image, -whole(one, combine), 0.2 * one.limits.eps)
            for member in MEMBERS:
                here = one.gradient(walked, model=member)
                inner = 0.7 * inner + here / here.norm()
                walked = one.inside(walked + inner_step * inner)
            outer = 0.7 * outer + (walked - one.image) / (walked - one.image).abs().sum()
            yield outer

    follows("cwa", transcription, ensemble(combine), reverse=0.2, inner_step=inner_step, decay=0.7)


@pytest.mark.parametrize("combine", ["logits", "losses"])
def test_smer(combine: str) -> None:
    def transcription(one: One) -> Iterator[Tensor]:
        outer, weights = torch.zeros_like(one.clean), torch.ones(3, dtype=torch.float64)
        while True:
            inner, walked = torch.zeros_like(one.clean), one.image
            for number in one.uniform("rounds", 2, 3).argsort(1).flatten().tolist():
                member, weight = MEMBERS[number], weights[number]
                here = slope(lambda at, m=member, w=weight: one.loss(w * m(at[None]))[0], walked)
                logits = torch.cat([other(walked[None]) for other in MEMBERS])

                def outer_loss(v: Tensor, logits: Tensor = logits) -> Tensor:
                    value = cross_entropy(one, (v[:, None] * logits).mean(0)[None]).log()
                    return -value if one.given.targets is None else value

                weights = weights - 0.02 * (slope(outer_loss, weights) + 0.1 * weights)
                inner = 0.9 * inner + mean_unit(here)
                walked = stepped(one, walked, inner, one.limits.step_size)
            outer = 0.9 * outer + mean_unit(inner)
            yield outer

    follows("smer", transcription, ensemble(combine), rounds=2, decay=0.9, rate=0.02, shrinkage=0.1)


def test_weights_learn_where_the_loss_is_tiny() -> None:
    """Far on the right side the loss is e^(-lead), so that the slope of its logarithm is minus the lead's."""
    learned = Reinforced(1, 1.0, 1.0, 0.0, False, Walk("linf", 1.0))
    logits = torch.tensor([[[60.0, 0.0], [80.0, 0.0]]])
    weights = learned.reinforce(torch.ones(1, 2), logits, torch.tensor([0]))
    torch.testing.assert_close(weights, torch.tensor([[1 - 30.0, 1 - 40.0]]))
    never = learned.reinforce(torch.ones(1, 2), 100 * logits, torch.tensor([0]))
    assert never.isfinite().all()


def test_a_least_weight_keeps_the_attack_from_turning_round() -> None:
    """With the paper's weights, a network that is sure gets a negative one, so that its loss is descended."""
    logits, classes = torch.tensor([[[60.0, 0.0], [80.0, 0.0]]]), torch.tensor([0])
    published, kept = (Reinforced(1, 1.0, 1.0, 0.0, False, Walk("linf", 1.0), least) for least in (None, 0.1))
    assert (published.reinforce(torch.ones(1, 2), logits, classes) < 0).all()
    torch.testing.assert_close(kept.reinforce(torch.ones(1, 2), logits, classes), torch.tensor([[0.1, 0.1]]))


def test_losses_of_zero_weigh_the_members_alike() -> None:
    torch.testing.assert_close(member_weights(torch.zeros(1, 3, 3), 10.0), torch.full((1, 3), 1 / 3))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("asleep", [1, 3])
@pytest.mark.parametrize("name", ["svre", "adaea", "cwa", "smer"])
def test_members_without_a_gradient_give_no_nan(name: str, asleep: int, norm: str) -> None:
    """`bench check` has single networks; here one member, or all, have no gradient."""
    members = [Asleep(member, 10**6 if i < asleep else 0) for i, member in enumerate(MEMBERS)]
    given = examples()
    reached = run(build(name, budget(norm)), Ensemble(members, "logits"), given)[-1]
    assert reached.isfinite().all()
    moved = (reached - given.images).flatten(1).abs().amax(1) > 0
    assert moved.tolist() == [asleep < 3] * 4


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("adaea", {"sharpness": 0.0}), ("adaea", {"agreement": -0.9}), ("adaea", {"decay": 0.2}),
    ("cwa", {"reverse": 1.0}), ("cwa", {"inner_step": 0.03}), ("cwa", {"decay": 0.2}),
    ("smer", {"rounds": 3}), ("smer", {"decay": 0.2}), ("smer", {"rate": 1.0}),
    ("smer", {"shrinkage": 20.0}), ("smer", {"least": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changed"), OPTIONS, ids=str)
def test_each_option_changes_the_images(name: str, changed: dict[str, Any]) -> None:
    model, given = ensemble("logits"), examples()
    usual, other = (run(build(name, budget("l2"), **options), model, given)[-1] for options in ({}, changed))
    assert (usual - other).abs().max() > 1e-6


PARTS = [["adaea", "si", "di", "ti"], ["cwa", "vr", "sgm"], ["smer", "admix", "ti"], ["smer", "ir"], ["adaea", "ir"]]
SMALL = {
    "rounds": 2, "mixed": 2, "admix_scales": 2, "scales": 2, "copies": 2, "kernel": 3, "grid": 3, "samples": 2,
    "cells": 3,
}  # fmt: skip


@pytest.mark.parametrize("combine", ["logits", "losses", "probabilities"])
@pytest.mark.parametrize("parts", [["adaea"], ["cwa"], ["smer"], *PARTS], ids="+".join)
def test_alone_and_in_any_order_the_same_at_the_declared_cost(parts: list[str], combine: str) -> None:
    recipe = join([RECIPES[part] for part in parts])
    known = recipe.build.__signature__.parameters  # type: ignore[attr-defined]
    attack = recipe.build(budget("l2"), **{name: value for name, value in SMALL.items() if name in known})
    given, model, passes = examples(), ensemble(combine), PassCounter(*MEMBERS)
    with passes.counting():
        together = run(attack, model, given)[-1]
    declared = attack.cost_for(3).total(3)  # type: ignore[attr-defined]
    assert (passes.forwards / 12, passes.backwards / 12) == pytest.approx(declared)
    backwards = run(attack, model, given.take(slice(2, 4)))[-1]
    torch.testing.assert_close(backwards, together[2:], rtol=0, atol=1e-9)
    alone = run(attack, model, given.take(slice(0, 1)))[-1]
    torch.testing.assert_close(alone, together[:1], rtol=0, atol=1e-9)
