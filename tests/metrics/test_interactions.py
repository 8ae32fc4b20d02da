"""Interactions against brute force over all subsets, closed forms, and their own standard errors."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bench_core.worker.streams import ImageStreams
from bench_metrics.coalitions.games import all_coalitions
from bench_metrics.coalitions.shapley import interaction_sums, pairwise_interactions, sampled_interactions

from .table_games import TableGame, additive_games, random_games


def shapley_value(value, players: list, player) -> float:
    """Equation 1 (arXiv:2010.04055), over all sets."""
    others, n, total = [p for p in players if p != player], len(players), 0.0
    for size in range(n):
        for rest in itertools.combinations(others, size):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            total += weight * (value((*rest, player)) - value(rest))
    return total


def definition_of_interaction(values: list[float], players: int, i: int, j: int) -> float:
    """Equation 3: the Shapley value of the pair as one player, less that of each member without the other."""

    def value(members) -> float:
        flat = [p for member in members for p in (member if isinstance(member, tuple) else (member,))]
        return values[sum(2**p for p in flat)]

    everyone = list(range(players))
    pair = (i, j)
    joint = shapley_value(value, [p for p in everyone if p not in pair] + [pair], pair)
    alone = [shapley_value(value, [p for p in everyone if p != absent], player) for player, absent in ((i, j), (j, i))]
    return joint - sum(alone)


@pytest.mark.parametrize("players", [2, 3, 5, 7])
def test_pairwise_is_the_definition(players: int) -> None:
    games = random_games(players, count=2)
    interactions = pairwise_interactions(games)
    for game, i, j in itertools.product(range(2), range(players), range(players)):
        expected = 0.0 if i == j else definition_of_interaction(games.values[game].tolist(), players, i, j)
        assert interactions[game, i, j].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("players", [2, 4, 8, 10])
def test_pairwise_is_symmetric_and_its_row_sums_are_interaction_sums(players: int) -> None:
    games = random_games(players)
    interactions = pairwise_interactions(games)
    assert torch.equal(interactions, interactions.mT)
    assert torch.allclose(interaction_sums(games), interactions.sum(-1), atol=1e-12)  # app. F


@pytest.mark.parametrize("players", [2, 4, 10])
def test_an_additive_game_has_no_interaction(players: int) -> None:
    games = additive_games(players)
    assert pairwise_interactions(games).abs().max() < 1e-12
    assert interaction_sums(games).abs().max() < 1e-12
    estimate, error = sampled_interactions(games, torch.tensor([[[0, 1]]]), 4, ImageStreams(0, ("a", "b")))
    assert estimate.abs().max() < 1e-6
    assert error.max() < 1e-6


def test_a_product_of_two_players_interacts_by_its_coefficient() -> None:
    sets = all_coalitions(6).double()
    actual = pairwise_interactions(TableGame((3 * sets[:, 1] * sets[:, 4] + sets[:, 2])[None]))[0]
    expected = torch.zeros(6, 6).double()
    expected[1, 4] = expected[4, 1] = 3
    assert torch.allclose(actual, expected, atol=1e-12)


def test_interaction_sums_of_some_players_are_some_of_all() -> None:
    games = random_games(6)
    chosen = torch.tensor([[0, 5], [3, 1], [2, 4]])
    assert torch.equal(interaction_sums(games, chosen), interaction_sums(games).gather(1, chosen))


def test_too_many_players_to_enumerate_are_rejected() -> None:
    class Big:
        players = 17

    with pytest.raises(ValueError, match="17 players"):
        pairwise_interactions(Big())  # type: ignore[arg-type]


def test_sampled_pairs_are_unbiased_within_their_stated_error() -> None:
    players, repetitions, contexts = 7, 1000, 12
    game = random_games(players, count=1)
    truth = pairwise_interactions(game)[0]
    pairs = torch.tensor([[[0, 1], [2, 6], [5, 3]]])
    many = TableGame(game.values.expand(repetitions, -1))  # one stream of random numbers each
    estimate, error = sampled_interactions(many, pairs, contexts, ImageStreams(0, tuple(map(str, range(repetitions)))))
    for k, (i, j) in enumerate(pairs[0].tolist()):
        estimates, expected = estimate[:, k].double(), truth[i, j].item()
        standard = estimates.std().item() / repetitions**0.5
        assert abs(estimates.mean().item() - expected) < 4 * standard
        assert (error[:, k] ** 2).mean().sqrt().item() == pytest.approx(estimates.std().item(), rel=0.1)
        covered = ((estimates - expected).abs() < 2.2 * error[:, k]).double().mean().item()  # t, 11 degrees
        assert 0.92 < covered < 0.98


def test_contexts_exclude_the_pair_and_have_uniform_sizes() -> None:
    queried = []

    class Spy(TableGame):
        def __call__(self, coalitions: Tensor) -> Tensor:
            queried.append(coalitions)
            return super().__call__(coalitions)

    games = Spy(torch.zeros(400, 2**6))
    sampled_interactions(games, torch.tensor([[[4, 1]]]), 5, ImageStreams(0, tuple(map(str, range(400)))))
    rest, first, second, both = torch.cat(queried).unbind(1)
    assert not rest[:, [4, 1]].any()
    assert torch.equal(both & ~rest, both ^ rest)
    assert (both ^ rest).sum(1).eq(2).all()
    assert first[:, 4].all()
    assert second[:, 1].all()
    sizes = np.bincount(rest.sum(1).numpy(), minlength=5) / len(rest)
    assert np.abs(sizes - 1 / 5).max() < 0.04
