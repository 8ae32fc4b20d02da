"""Interactions of every order on enumerated games: their definition, and the properties that the paper proves.

Shapley values come from brute force. Equation numbers are those of arXiv:2103.07364.
"""

import itertools

import pytest
import shapiq
import torch
from torch import Tensor

from bench_metrics.coalitions.games import all_coalitions
from bench_metrics.coalitions.shapley import pairwise_by_order, pairwise_interactions

from .table_games import TableGame, additive_games, random_games, shapley_by_order, smooth_games

GAMES = [
    pytest.param(make(players), id=f"{make.__name__}-{players}")
    for make in (random_games, smooth_games, additive_games)
    for players in (2, 3, 6, 10)
]
CLOSE = {"rtol": 0, "atol": 1e-11}


def mean_derivative(game: TableGame, i: int, j: int, size: int) -> Tensor:
    """Compute the expectation of equation 2 over all contexts, [n]."""
    rest = [p for p in range(game.players) if p not in (i, j)]
    sets = [sum(2**p for p in chosen) for chosen in itertools.combinations(rest, size)]
    v = game.values
    total = sum(v[:, s + 2**i + 2**j] - v[:, s + 2**i] - v[:, s + 2**j] + v[:, s] for s in sets)
    return total / len(sets)


@pytest.mark.parametrize("players", [2, 3, 6])
def test_the_enumeration_is_the_definition(players: int) -> None:
    game = random_games(players)
    pairs = pairwise_by_order(game)
    for i, j, m in itertools.product(range(players), range(players), range(players - 1)):
        expected = torch.zeros(3).double() if i == j else mean_derivative(game, i, j, m)
        assert torch.allclose(pairs[:, m, i, j], expected, **CLOSE)


@pytest.mark.parametrize("game", GAMES)
def test_efficiency_of_interactions(game: TableGame) -> None:
    """Section 3 and B.1: v(N) is the sum of v(empty), single players, and J_ij^(m) of all ordered pairs and orders."""
    n, v = game.players, game.values
    interactions, alone = pairwise_by_order(game), shapley_by_order(game)[:, 0]
    weight = (n - 1 - torch.arange(n - 1).double()) / (n * (n - 1))
    total = v[:, 0] + alone.sum(1) + (weight[:, None, None] * interactions).sum((1, 2, 3))
    assert torch.allclose(total, v[:, -1], **CLOSE)


@pytest.mark.parametrize("game", GAMES)
def test_equation_3_the_attacking_utility_is_the_sum_of_its_parts(game: TableGame) -> None:
    n, clean = game.players, game.values
    attacked = TableGame(clean + random_games(n, len(clean), seed=7).values)
    pairs = pairwise_by_order(game) - pairwise_by_order(attacked)
    alone = (shapley_by_order(game) - shapley_by_order(attacked))[:, 0].sum(1)
    weight = (n - 1 - torch.arange(n - 1).double()) / (n * (n - 1))
    utility = clean[:, -1] - attacked.values[:, -1]
    ignored = clean[:, 0] - attacked.values[:, 0] + alone
    assert torch.allclose(ignored + (weight[:, None, None] * pairs).sum((1, 2, 3)), utility, **CLOSE)


@pytest.mark.parametrize("game", GAMES)
def test_equation_5_efficiency_marginal_attribution_and_accumulation_of_shapley_values(game: TableGame) -> None:
    n, values = game.players, shapley_by_order(game)
    assert torch.allclose(values.mean(1).sum(1), game.values[:, -1] - game.values[:, 0], **CLOSE)
    over_others = pairwise_by_order(game).sum(-1) / (n - 1)  # E_j I_ij^(m), the diagonal being 0
    assert torch.allclose(values.diff(dim=1), over_others, **CLOSE)
    assert torch.allclose(values[:, 1:], over_others.cumsum(1) + values[:, :1], **CLOSE)


@pytest.mark.parametrize("game", GAMES)
def test_equation_14_the_highest_order_is_the_leave_one_out_attribution(game: TableGame) -> None:
    everyone = 2**game.players - 1
    for i in range(game.players):
        left_out = game.values[:, -1] - game.values[:, everyone - 2**i]
        assert torch.allclose(shapley_by_order(game)[:, -1, i], left_out, **CLOSE)


@pytest.mark.parametrize("game", GAMES)
def test_equation_20_the_loss_caused_by_dropout(game: TableGame) -> None:
    """The mean of v over sets of k players lacks all orders above k - 2 and a part of each order below."""
    n, sizes = game.players, all_coalitions(game.players).sum(1)
    interactions, alone = pairwise_by_order(game).sum((2, 3)), shapley_by_order(game)[:, 0].sum(1)
    for k in range(1, n + 1):
        dropped = 1 - k / n
        change = game.values[:, -1] - game.values[:, sizes == k].mean(1)
        low = sum(interactions[:, m] for m in range(k - 1)) * dropped / (n - 1) if k > 1 else 0
        high = sum((n - 1 - m) / (n * (n - 1)) * interactions[:, m] for m in range(k - 1, n - 1))
        assert torch.allclose(dropped * alone + low + high, change, **CLOSE)


@pytest.mark.parametrize("game", GAMES)
def test_the_mean_over_pairs_is_a_second_difference_of_mean_values(game: TableGame) -> None:
    n, sizes = game.players, all_coalitions(game.players).sum(1)
    mean_value = torch.stack([game.values[:, sizes == k].mean(1) for k in range(n + 1)], 1)
    over_pairs = pairwise_by_order(game).sum((2, 3)) / (n * (n - 1))
    assert torch.allclose(over_pairs, mean_value.diff(dim=1).diff(dim=1), **CLOSE)


@pytest.mark.parametrize("players", [3, 6])
def test_linearity(players: int) -> None:
    first, second = random_games(players, seed=1), smooth_games(players)
    merged = TableGame(2 * first.values - 3 * second.values)
    expected = 2 * pairwise_by_order(first) - 3 * pairwise_by_order(second)
    assert torch.allclose(pairwise_by_order(merged), expected, **CLOSE)


@pytest.mark.parametrize("players", [3, 6])
def test_nullity(players: int) -> None:
    """Player 1 adds 0.4 to every set and interacts with no other player."""
    game, sets = random_games(players), all_coalitions(players)
    without = torch.arange(2**players) & ~2
    dummy = TableGame(game.values[:, without] + 0.4 * sets[:, 1])
    assert pairwise_by_order(dummy)[:, :, 1].abs().max() < 1e-12


@pytest.mark.parametrize("players", [3, 6])
def test_symmetry_and_commutativity(players: int) -> None:
    """Players 0 and 2 are exchangeable: they have the same interactions with every other player."""
    game, sets = random_games(players), all_coalitions(players)
    exchanged = sets.clone()
    exchanged[:, [0, 2]] = sets[:, [2, 0]]
    number = (exchanged * 2 ** torch.arange(players)).sum(1)
    alike = TableGame(game.values + game.values[:, number])
    pairs = pairwise_by_order(alike)
    rest = [k for k in range(players) if k not in (0, 2)]
    assert torch.allclose(pairs[:, :, 0, rest], pairs[:, :, 2, rest], **CLOSE)
    assert torch.equal(pairs, pairs.mT)


@pytest.mark.parametrize("make", [random_games, smooth_games, additive_games])
def test_the_mean_over_orders_is_the_shapley_interaction_index_of_shapiq(make) -> None:
    game = make(7)
    interactions = pairwise_interactions(game)
    for number, values in enumerate(game.values):

        def value(coalitions, values=values):
            return values[(torch.as_tensor(coalitions) * 2 ** torch.arange(7)).sum(1)].numpy()

        exact = shapiq.ExactComputer(value, n_players=7)("SII", order=2)
        for pair in itertools.combinations(range(7), 2):
            assert interactions[number][pair].item() == pytest.approx(exact[pair], abs=1e-10)
