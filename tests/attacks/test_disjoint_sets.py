"""IR's disjoint sets, by enumeration of all draws: same expectation as independent sets, and the exact variance."""

from collections.abc import Sequence
from functools import cache
from itertools import combinations, permutations

import pytest
import torch
from torch import Tensor

from bench_attacks.gradient_attack import GradientAttack
from bench_attacks.kinds import TermInputs
from bench_attacks.parts.ir import Interaction
from bench_attacks.run_state import RunState
from bench_attacks.step_rng import StepRng
from bench_core.types import Examples
from bench_core.worker.streams import ImageStreams

from .scene import budget, build, examples, gradient, network, run, run_state
from .test_interaction_reduction import transcription


@cache
def orders(players: int) -> Tensor:
    return torch.tensor(list(permutations(range(players)))).float()


class EveryOrder(ImageStreams):
    """One image for each order of the players, whose uniform numbers have this order."""

    def __init__(self, players: int) -> None:
        self.numbers = (orders(players) / players)[:, None]
        super().__init__(0, ["any"] * len(self.numbers))

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        assert tuple(shape) == self.numbers.shape[1:], "more than one partition"
        return self.numbers


def test_the_sets_are_a_uniformly_drawn_partition() -> None:
    sets = StepRng(EveryOrder(6), 1, torch.zeros(1)).disjoint_subsets("x", 3, 6, 2)
    assert (sets.sum(1) == 1).all(), "three sets of two players are all six"
    for k in range(3):
        drawn, counts = sets[:, k].unique(dim=0, return_counts=True)
        assert len(drawn) == 15
        assert counts.unique().tolist() == [720 // 15]
    _, counts = sets.flatten(1).unique(dim=0, return_counts=True)
    assert counts.unique().tolist() == [2**3]  # 90 ordered partitions, each as often as any other


def test_sets_beyond_a_partition_begin_a_new_one_and_the_first_of_each_is_an_independent_set() -> None:
    rng = StepRng(ImageStreams(0, ["a", "b", "c"]), 1, torch.zeros(1))
    sets = rng.disjoint_subsets("x", 10, 20, 6)
    assert (sets.sum(-1) == 6).all()
    for first in (0, 3, 6, 9):
        assert (sets[:, first : first + 3].sum(1) <= 1).all()
    assert (sets[:, :6].sum(1) == 2).any()  # the second partition does not depend on the first
    torch.testing.assert_close(sets[:, ::3], rng.subsets("x", 4, 20, 6))


def test_every_point_has_its_own_sets_in_any_slice_of_the_batch() -> None:
    rng = StepRng(ImageStreams(0, ["a", "b", "c"]), 1, torch.zeros(1), query=2, points=2)
    whole = rng.disjoint_subsets("x", 4, 9, 2)
    assert whole.shape == (6, 4, 9)
    assert not torch.equal(whole[0], whole[1])
    assert torch.equal(rng.take(slice(1, 4)).disjoint_subsets("x", 4, 9, 2), whole[1:4])


# A game of additive and pairwise terms on the nine cells of an image of 3 x 3 pixels: v(S) = sum a_i + sum J_ij over S.
CELLS = 9


def game(pairs: Tensor) -> Tensor:
    """Return a symmetric matrix [9, 9] with a zero diagonal from a random one."""
    return (pairs + pairs.T) * (1 - torch.eye(CELLS, dtype=torch.float64))


def weighted() -> Tensor:
    """Return the pairs J_ij = a_i + a_j, where cells differ in how much they interact with all others."""
    return game(
        torch.rand(CELLS, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        @ torch.ones(1, CELLS).double()
    )


def balanced() -> Tensor:
    """Return pairs whose sum over every cell is zero: the interaction of a cell with all others is zero."""
    pairs = game(torch.randn(CELLS, CELLS, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    sums = pairs.sum(1)
    cell = (sums - sums.sum() / (2 * CELLS - 2)) / (CELLS - 2)
    return pairs - (cell[:, None] + cell) * (1 - torch.eye(CELLS, dtype=torch.float64))


def sampled(pairs: Tensor, samples: int, cells: int, sets: str) -> Tensor:
    """Return the interaction that the attack samples in each of all draws."""
    streams = EveryOrder(CELLS)
    count = len(streams.ids)
    clean = torch.zeros(count, 1, 3, 3, dtype=torch.float64)
    images = clean + 1
    zeros = torch.zeros_like(clean)
    state = RunState(clean, StepRng(streams, 1, clean), clean.new_full((count,), 1), zeros, zeros)
    term = Interaction(-1.0, 3, samples, cells, sets)  # type: ignore[arg-type]

    def logits(points: Tensor) -> Tensor:
        shown = points.flatten(-3)
        value = shown @ torch.arange(CELLS, dtype=torch.float64) + ((shown @ pairs) * shown).sum(-1) / 2
        return torch.stack([torch.zeros_like(value), value], -1)

    inputs = TermInputs(images, logits(images), logits(term.points(images, state)), logits(clean))
    return term.value(inputs, Examples(images, torch.zeros(count, dtype=torch.int64), streams.ids))


def of_all_sets(pairs: Tensor, cells: int) -> Tensor:
    """Return the interaction of each set with the rest, for all sets: the sum of the pairs across."""
    values = []
    for chosen in combinations(range(CELLS), cells):
        rest = [cell for cell in range(CELLS) if cell not in chosen]
        values.append(pairs[list(chosen)][:, rest].sum())
    return torch.stack(values)


@pytest.mark.parametrize(("samples", "cells"), [(1, 2), (2, 2), (4, 2), (3, 3), (2, 4)])
def test_the_expectation_is_that_of_independent_sets_and_the_variance_is_exact(samples: int, cells: int) -> None:
    """The part of a set's interaction that is a sum over its cells cancels between disjoint sets; the rest adds up.

    Over uniform sets, the interaction of a pairwise game is a constant, a part that is additive in the set's cells and
    a part of pairs. Between two disjoint sets of c of N cells, these parts correlate by -c / (N - c) and by
    c (c - 1) / ((N - c) (N - c - 1)): the eigenvalues of the Kneser graph.
    """
    others = CELLS - cells
    variances = []
    for pairs, correlation in (
        (weighted(), -cells / others),
        (balanced(), cells * (cells - 1) / (others * (others - 1))),
    ):
        exact = of_all_sets(pairs, cells)
        independent = exact.var(correction=0) / samples
        draws = sampled(pairs, samples, cells, "disjoint")
        torch.testing.assert_close(draws.mean(), exact.mean(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(draws.var(correction=0), independent * (1 + (samples - 1) * correlation))
        variances.append(draws.var(correction=0))
    both = sampled(weighted() + balanced(), samples, cells, "disjoint")
    torch.testing.assert_close(both.mean(), of_all_sets(weighted() + balanced(), cells).mean())
    torch.testing.assert_close(both.var(correction=0), sum(variances))


def test_the_gradient_is_that_of_equation_42() -> None:
    given, model = examples(4, (3, 6, 6)), network(3)
    attack = build("ir", budget(), strength=1.0, grid=3, samples=5, cells=4, sets="disjoint")
    moved = run(build("noise", budget()), model, given)[0]
    ours = gradient(attack, model, given, moved, step=7)
    sets = run_state(given, 7).rng.disjoint_subsets("interaction", 5, 9, 4)
    for i in range(4):
        _, expected = transcription(model, given.images[i], moved[i], int(given.labels[i]), None, 1.0, sets[i])
        torch.testing.assert_close(ours[i], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["ir", "interaction_only"])
def test_a_single_set_is_the_same_set(name: str) -> None:
    given, model = examples(), network()
    options = {"grid": 3, "samples": 1, "cells": 5}
    independent = run(build(name, budget(), **options), model, given)
    disjoint = run(build(name, budget(), **options, sets="disjoint"), model, given)
    assert all(torch.equal(a, b) for a, b in zip(independent, disjoint, strict=True))


@pytest.mark.parametrize(("grid", "cells", "fits"), [(3, 4, True), (3, 5, False), (2, 1, True), (2, 2, False)])
def test_sets_that_cannot_be_disjoint_or_are_each_others_complements_are_refused(
    grid: int, cells: int, fits: bool
) -> None:
    attack = build("ir", budget(), grid=grid, cells=cells, samples=2, sets="disjoint")
    assert isinstance(attack, GradientAttack)
    fault = attack.check((1, 6, 6))
    assert fault is None if fits else 'sets: found "disjoint", but ' in str(fault)
