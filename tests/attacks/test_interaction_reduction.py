"""IR against a direct transcription of arXiv:2010.04055, eq. 42, and tests for errors of published implementations."""

import pytest
import torch
from torch import Tensor, nn

from bench_attacks.gradient_attack import GradientAttack
from bench_core.types import Examples
from bench_core.worker.streams import ImageStreams

from .scene import budget, build, examples, gradient, network, run, run_state, streams

GRID, SAMPLES, CELLS = 3, 5, 4
OPTIONS = {"grid": GRID, "samples": SAMPLES, "cells": CELLS}


def transcription(
    model: nn.Module, clean: Tensor, images: Tensor, label: int, target: int | None, strength: float, sets: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute eq. 42 for one image: `loss - strength / K * sum_k [v(L) - v(L/B) - v(B) + v()]`."""
    images = images.clone().requires_grad_(True)
    side = clean.shape[-1] // GRID
    logits = model(images[None])[0]
    wrong = [c for c in range(len(logits)) if c != label]
    rival = max(wrong, key=lambda c: logits[c].item()) if target is None else target

    def utility(cells: list[bool]) -> Tensor:
        image = clean.clone()
        for cell, present in enumerate(cells):
            if present:
                rows = slice(cell // GRID * side, (cell // GRID + 1) * side)
                columns = slice(cell % GRID * side, (cell % GRID + 1) * side)
                image[:, rows, columns] = images[:, rows, columns]
        masked_logits = model(image[None])[0]
        return masked_logits[rival] - masked_logits[label]

    def margin(to: int) -> Tensor:
        return max((logits[c] for c in range(len(logits)) if c != to), key=Tensor.item) - logits[to]

    loss = margin(label) if target is None else -margin(target)
    total = 0.0
    for chosen in sets.tolist():
        without = utility([not inside for inside in chosen])
        total = total + utility([True] * 9) - without - utility(chosen) + utility([False] * 9)
    value = loss - strength * total / len(sets)
    (gradient,) = torch.autograd.grad(value, images)
    return value.detach(), gradient


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_the_gradient_is_that_of_equation_42(targeted: bool, strength: float) -> None:
    given, model = examples(4, (3, 6, 6), targeted), network(3)
    attack = build("ir", budget(targeted=targeted), strength=strength, **OPTIONS)
    moved = run(build("noise", budget()), model, given)[0]
    ours = gradient(attack, model, given, moved, step=7)
    sets = run_state(given, 7).rng.subsets("interaction", SAMPLES, GRID**2, CELLS)
    for i in range(4):
        target = None if given.targets is None else int(given.targets[i])
        _, expected = transcription(model, given.images[i], moved[i], int(given.labels[i]), target, strength, sets[i])
        torch.testing.assert_close(ours[i], expected, rtol=1e-9, atol=1e-12)


def interaction(model: nn.Module, given: Examples, images: Tensor) -> float:
    sets = ImageStreams(99, given.ids).subsets("judge", 0, 60, GRID**2, CELLS)
    interactions = []
    for i in range(len(images)):
        with_it, _ = transcription(model, given.images[i], images[i], int(given.labels[i]), None, 1.0, sets[i])
        without, _ = transcription(model, given.images[i], images[i], int(given.labels[i]), None, 0.0, sets[i])
        interactions.append(float(without - with_it))
    return sum(interactions) / len(interactions)


def test_the_attack_lowers_the_interaction() -> None:
    """Published code with the wrong sign raises the interaction."""
    given, model = examples(6, (1, 6, 6)), network()
    limits = budget("l2", steps=10, eps=2.0)
    plain = run(build("pgd", limits), model, given)[-1]
    reduced = run(build("ir", limits, strength=3.0, **OPTIONS), model, given)[-1]
    only = run(build("interaction_only", limits, **OPTIONS), model, given)
    assert interaction(model, given, reduced) < interaction(model, given, plain)
    assert interaction(model, given, only[-1]) < interaction(model, given, only[0])


def test_strength_zero_is_bitwise_plain_ascent() -> None:
    given, model = examples(), network()
    for norm in ("linf", "l2"):
        plain, none = (
            run(build(n, budget(norm), **o), model, given) for n, o in [("pgd", {}), ("ir", {"strength": 0.0})]
        )
        assert all(torch.equal(a, b) for a, b in zip(plain, none, strict=True))


def test_the_cells_of_a_set_are_distinct_and_every_image_has_its_own() -> None:
    sets = streams(examples(5)).subsets("interaction", 1, 32, 256, 32)
    assert (sets.sum(-1) == 32).all()
    assert len({tuple(row) for row in sets.flatten(0, 1).int().tolist()}) == 5 * 32
    later = streams(examples(5)).subsets("interaction", 2, 32, 256, 32)
    assert not torch.equal(sets, later)


def test_every_cell_is_drawn_equally_often() -> None:
    sets = ImageStreams(0, [str(i) for i in range(50)]).subsets("interaction", 1, 40, 16, 4).float()
    counts = sets.sum((0, 1))  # of 2,000 draws at 1/4 each: 500, standard deviation 19
    assert (counts - 500).abs().max() < 5 * 19.4


def test_every_pixel_belongs_to_one_cell() -> None:
    given = examples(1, (1, 6, 9))
    attack = build("ir", budget(), (1, 6, 9), grid=3, samples=200, cells=1)
    assert isinstance(attack, GradientAttack)
    (term,) = attack.extras
    moved = given.images + 1
    points = term.points(moved, run_state(given))
    assert points is not None
    alone = points[0, 200:, 0] - given.images[0, 0]
    assert set(alone.sum((1, 2)).round().int().tolist()) == {2 * 3}  # a cell of 2 x 3 pixels each
    assert (alone.amax(0) > 0.99).all(), "some pixel is in no cell"


@pytest.mark.parametrize(("options", "message"), [({"grid": 4}, "try 1, 2, 3, 6"), ({"cells": 10}, "more than the 9")])
def test_a_grid_that_does_not_fit_is_refused(options: dict[str, int], message: str) -> None:
    attack = build("ir", budget(), **OPTIONS | options)
    assert isinstance(attack, GradientAttack)
    assert message in str(attack.check((1, 6, 6)))


class Counting(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.sizes = inner, []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        logits: Tensor = self.inner(images)
        return logits


def test_inputs_are_batched_and_the_empty_set_is_computed_once() -> None:
    """The official code runs 67 passes of one image per step, among them `v(empty)` and `v(all)` at every step."""
    given, model = examples(10), Counting(network())
    run(build("ir", budget(steps=2), samples=3, grid=3, cells=4), model, given)
    assert model.sizes == [10, *2 * [5 * 7, 5 * 7]]
