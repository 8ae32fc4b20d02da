"""Estimates of interactions and Shapley values of every order are unbiased, and their standard errors are correct."""

import itertools
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from bench_core.worker.streams import ImageStreams
from bench_metrics.coalitions.derivatives import random_ranks
from bench_metrics.coalitions.estimates import Estimate
from bench_metrics.coalitions.games import all_coalitions
from bench_metrics.coalitions.mean_interaction import MIN_STRATA, STRATA_PER_ROUND, Effort, mean_interaction
from bench_metrics.coalitions.orders import context_size, context_sizes, distinct_contexts, orders_fault
from bench_metrics.coalitions.pairs import neighbours, random_pairs
from bench_metrics.coalitions.shapley import pairwise_by_order
from bench_metrics.coalitions.teams import shapley_values, team_effects

from .table_games import TableGame, random_games, repeated, shapley_by_order, smooth_games

TRIALS = 1000


def streams(count: int, seed: int = 0) -> ImageStreams:
    return ImageStreams(seed, tuple(map(str, range(count))))


def mean_over(pairs: Tensor, exact: Tensor) -> Tensor:
    """Return the mean of I_ij^(m) [n, orders, players, players] over some pairs, [n, orders]."""
    return exact[:, :, pairs[:, 0], pairs[:, 1]].mean(-1)


def interval(estimate: Estimate, degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends of the 95% intervals by Student's t with these degrees of freedom, shaped like the mean."""
    quantile = torch.from_numpy(stats.t.ppf(0.975, degrees.clamp(min=1).numpy()))
    half = quantile[..., None] * estimate.error
    return estimate.mean - half, estimate.mean + half


def assert_unbiased(estimates: Tensor, truth: Tensor) -> None:
    """Assert that the mean of `estimates` [trials, ...] is within 4.5 standard errors of `truth` [...] everywhere."""
    spread = estimates.std(0) / len(estimates) ** 0.5
    assert ((estimates.mean(0) - truth).abs() <= 4.5 * spread + 1e-12).all()


def assert_covering(estimate: Estimate, degrees: Tensor, truth: Tensor, orders: slice = slice(None)) -> None:
    """Assert that the 95% intervals [trials, ...] contain `truth` [...] in 95% of trials, up to chance."""
    low, high = (end[:, orders] for end in interval(estimate, degrees))
    covered = ((low <= truth[orders]) & (truth[orders] <= high)).double().mean(0)
    assert 0.93 <= covered.mean() <= 0.97
    assert ((covered - 0.95).abs() < 4 * (0.95 * 0.05 / len(low)) ** 0.5).all(), covered


@pytest.mark.parametrize("contexts", [1, 3])
@pytest.mark.parametrize("among", ["all", "neighbours"])
@pytest.mark.parametrize("make", [random_games, smooth_games])
def test_the_mean_interaction_is_unbiased_and_its_intervals_cover(make: Callable, among: str, contexts: int) -> None:
    players, orders = 9, [0, 2, 5, 7]
    clean, noise = make(players, 1), random_games(players, 1, seed=3)
    attacked = TableGame(clean.values + 0.3 * noise.values)
    pairs = neighbours(3) if among == "neighbours" else None
    counted = torch.combinations(torch.arange(players)) if pairs is None else pairs
    games = [repeated(clean, TRIALS), repeated(attacked, TRIALS)]
    estimate = mean_interaction(games, orders, Effort(150, contexts), streams(TRIALS), pairs)
    truth = torch.stack([mean_over(counted, pairwise_by_order(game))[0, orders] for game in (clean, attacked)], -1)
    assert_unbiased(estimate.mean, truth)
    assert_covering(estimate, estimate.draws // 2, truth)
    change, error = estimate.contrast((1, -1))
    paired = Estimate(change[..., None], (error**2)[..., None, None], estimate.draws, estimate.forwards)
    assert_covering(paired, estimate.draws // 2, (truth[:, 0] - truth[:, 1])[:, None])
    assert (estimate.forwards == 4 * 2 * contexts * 150 * len(orders)).all()


def test_estimates_of_single_pairs_and_players_are_unbiased_and_their_intervals_cover() -> None:
    players, contexts = 7, 60
    game = random_games(players, 1)
    many, pairs = repeated(game, TRIALS), torch.tensor([[0, 1], [6, 2], [3, 5]])
    orders = list(range(players - 1))
    estimate = team_effects([many], orders, pairs[None], contexts, streams(TRIALS))
    assert estimate.mean.shape == (TRIALS, players - 1, 3, 1)
    truth = pairwise_by_order(game)[0, :, pairs[:, 0], pairs[:, 1]][..., None]
    assert_unbiased(estimate.mean, truth)
    assert (estimate.error[:, [0, -1]] == 0).all()  # there is only one context: exact
    inner = slice(1, -1)
    assert_covering(estimate, estimate.draws - 1, truth, inner)
    singles = shapley_values([many], list(range(players)), contexts, streams(TRIALS), torch.tensor([[4, 0]]))
    truth = shapley_by_order(game)[0][:, [4, 0]][..., None]
    assert_unbiased(singles.mean, truth)
    assert_covering(singles, singles.draws - 1, truth, inner)
    assert torch.allclose(singles.mean[:, -1], truth[-1])
    assert (singles.error[:, [0, -1]] == 0).all()
    assert (singles.forwards == 2 * 2 * (2 + (players - 2) * contexts)).all()


def test_all_players_are_estimated_by_default() -> None:
    game = random_games(5, 2)
    estimate = shapley_values([game], [0, 4], 3, streams(2))
    assert torch.allclose(estimate.mean[..., 0], shapley_by_order(game)[:, [0, 4]])


def test_games_given_together_share_pairs_and_contexts() -> None:
    """What two games have in common cancels in each draw, so it adds no error to their difference."""
    game = random_games(8)
    shifted = TableGame(3 * game.values)
    change, error = mean_interaction([game, shifted], [1, 4], Effort(40), streams(3)).contrast((3, -1))
    assert change.abs().max() < 1e-12
    assert error.max() < 1e-6
    assert mean_interaction([game, shifted], [1, 4], Effort(40), streams(3)).error.min() > 0.01


@pytest.mark.parametrize("error", [0.2, 0.1])
def test_a_target_error_is_reached_and_no_more_is_spent(error: float) -> None:
    players, orders = 8, [1, 3, 6]
    game = random_games(players, 1)
    many = repeated(TableGame(torch.cat([game.values, 0.01 * game.values])), 300)
    estimate = mean_interaction([many], orders, Effort(100_000, 1, error), streams(300))
    assert (estimate.error <= error).all()
    strata = estimate.draws // 2
    assert (strata >= MIN_STRATA).all()
    assert estimate.draws.max() < 100_000
    one_round_less = estimate.error[..., 0] * (estimate.draws / (estimate.draws - 2 * STRATA_PER_ROUND)).sqrt()
    late = strata > MIN_STRATA + STRATA_PER_ROUND
    assert (one_round_less[late] > 0.85 * error).all()  # one round less would not have been enough
    assert (estimate.forwards == 4 * estimate.draws.sum(1)).all()
    truth = mean_over(torch.combinations(torch.arange(players)), pairwise_by_order(game))[0, orders]
    low, high = (end[..., 0] for end in interval(estimate, strata))
    assert ((low <= truth) & (truth <= high)).double().mean() > 0.93


def test_a_budget_of_forwards_is_used_and_not_exceeded() -> None:
    games = [random_games(8), random_games(8, seed=1)]
    effort = Effort.of_forwards(1000, games=2, contexts=3)
    estimate = mean_interaction(games, [2, 4], effort, streams(3))
    assert (estimate.forwards <= 2 * 1000).all()
    assert (estimate.forwards > 2 * (1000 - 2 * 4 * 3 * 2)).all()  # less than one more stratum


def test_early_stopping_of_an_image_does_not_depend_on_the_batch() -> None:
    """Games with very different spreads get the same estimate, error and cost as each game alone."""
    scale = torch.tensor([0.001, 1.0, 0.3])[:, None]
    games = TableGame(random_games(8).values * scale)
    effort, orders = Effort(4000, 1, 0.06), [1, 3, 6]
    together = mean_interaction([games], orders, effort, streams(3))
    assert len(together.draws.unique()) > 2
    for image in range(3):
        stream = ImageStreams(0, (str(image),))
        alone = mean_interaction([games.take(torch.tensor([image]))], orders, effort, stream)
        assert torch.equal(alone.mean[0], together.mean[image])
        assert torch.equal(alone.error[0], together.error[image])
        assert alone.forwards[0] == together.forwards[image]


def test_contexts_are_uniform_without_the_team_and_nested_over_orders() -> None:
    ranks = random_ranks(torch.tensor([[[4, 1]]]), 6, "context", 0, streams(6000))[:, 0]
    assert (ranks.sort(-1).values == torch.arange(6)).all()
    assert (ranks[:, [4, 1]] >= 4).all()
    sets = [tuple(row.nonzero()[:, 0].tolist()) for row in ranks < 2]
    counts = {chosen: sets.count(chosen) for chosen in set(sets)}
    assert set(counts) == set(itertools.combinations([0, 2, 3, 5], 2))
    assert all(abs(count - 1000) < 4.5 * (6000 * 5 / 36) ** 0.5 for count in counts.values())


def test_pairs_are_uniform_over_all_ordered_pairs() -> None:
    pairs = random_pairs(20, 4, streams(600)).flatten(0, 1)
    counts = {pair: (pairs == torch.tensor(pair)).all(1).sum().item() for pair in itertools.permutations(range(4), 2)}
    assert sum(counts.values()) == 12_000
    assert all(abs(count - 1000) < 4.5 * (12_000 * 11 / 144) ** 0.5 for count in counts.values())


def test_memory_and_batches_do_not_grow_with_the_effort() -> None:
    largest = 0

    class Spy(TableGame):
        def __call__(self, coalitions: Tensor) -> Tensor:
            nonlocal largest
            largest = max(largest, coalitions.shape[1])
            return super().__call__(coalitions)

    mean_interaction([Spy(random_games(6).values)], [2], Effort(1000, 2), streams(3))
    assert largest == 4 * 2 * 2 * STRATA_PER_ROUND


def test_shares_are_rounded_as_decimal_numbers() -> None:
    assert int(0.29 * 100) == 28, "binary rounding"
    assert [context_size(share / 100, 100) for share in range(101)] == list(range(101))
    assert [context_size(share / 100, 1000) for share in range(101)] == list(range(0, 1001, 10))
    assert context_size(0.95, 194) == 184  # 184.3
    assert context_size(1 / 3, 9) == 3
    assert context_size(0.5, 5) == 3  # halves up
    assert context_sizes([0.0, 1, 0.5, 1.0], 10) == [0, 1, 5, 10]


def test_shares_can_be_rounded_down_as_in_the_authors_code() -> None:
    shares, largest = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95], 16**2 - 2
    down, nearest = context_sizes(shares, largest, "down"), context_sizes(shares, largest)
    assert down == [int(largest * share) for share in shares]
    differ = [share for share, one, other in zip(shares, down, nearest, strict=True) if one != other]
    assert differ == [0.2, 0.4, 0.7, 0.85, 0.9]
    assert context_sizes([3, 0.29], 100, "down") == [3, 29]
    assert "are both 4 of 9" in (orders_fault([0.5, 0.52], 9, "down") or "")


@pytest.mark.parametrize(
    ("orders", "message"),
    [([], "found none"), ([1.2], "found 1.2"), ([11], "found 11"), ([-1], "found -1"), ([0.5, 5], "are both 5 of 10")],
)  # fmt: skip
def test_impossible_orders_are_rejected(orders: list, message: str) -> None:
    assert message in (orders_fault(orders, 10) or "")
    with pytest.raises(ValueError, match=message):
        context_sizes(orders, 10)


def test_distinct_contexts_are_counted() -> None:
    assert [distinct_contexts(6, 2, m) for m in range(5)] == [1, 4, 6, 4, 1]
    assert [distinct_contexts(4, 1, m) for m in range(4)] == [1, 3, 3, 1]


def test_a_single_pair_has_no_standard_error_and_is_rejected() -> None:
    with pytest.raises(ValueError, match="pairs: found 1"):
        Effort(1)
    assert [Effort(pairs).draws for pairs in (2, 3, 40, 41)] == [2, 2, 40, 40]


@pytest.mark.parametrize(("effort", "listed", "cuts"), [
    (Effort(20), 1000, [10]), (Effort(50), 100, [9, 8, 8]), (Effort(7), 3, [1, 1, 1]), (Effort(90), 1000, [45]),
    (Effort(80, error=0.1), 1000, [14, 13, 13]), (Effort(30, error=0.1), 33, [4, 4, 4, 3]),
])  # fmt: skip
def test_strata_cut_the_list_as_finely_as_it_allows(effort: Effort, listed: int, cuts: list[int]) -> None:
    rounds = effort.rounds(listed)
    assert torch.cat(list(rounds)).tolist() == [[index, size] for size in cuts for index in range(size)]
    assert sum(map(len, rounds)) == effort.draws / 2
    assert max(map(len, rounds)) <= STRATA_PER_ROUND
    if effort.error:  # an image may stop after any round, so each is a complete cut
        assert list(map(len, rounds)) == cuts


def test_differences_between_strata_add_no_error() -> None:
    """Pairs within the first half of the players interact, by 2; most strata contain only pairs of one kind."""
    sets = all_coalitions(8).double()
    game = TableGame((sets[:, :4].sum(1) ** 2)[None].expand(400, -1))
    estimate = mean_interaction([game], [3], Effort(56), streams(400))
    truth = mean_over(torch.combinations(torch.arange(8)), pairwise_by_order(game.take(torch.arange(1))))[0, 3]
    unstratified = truth * (2 - truth) / 56  # each draw is 2 or 0
    assert estimate.mean.var().item() < 0.75 * unstratified.item()
    assert (estimate.error**2).mean().item() == pytest.approx(estimate.mean.var().item(), rel=0.15)
