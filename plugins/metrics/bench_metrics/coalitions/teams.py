"""Interactions of given pairs and Shapley values of given players, order by order, from random contexts of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .derivatives import discrete_derivative, random_ranks
from .estimates import Estimate, Tally
from .games import Game
from .orders import distinct_contexts

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch


def sampled_derivatives(
    games: Sequence[Game], orders: Sequence[int], teams: Tensor, contexts: int, rng: Streams
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Draw random contexts of each order for each team, one at a time, and yield their discrete derivatives.

    An order that has a single context yields it once.

    Args:
        games: Games of the same n images and the same players; they share all draws.
        orders: Context sizes m.
        teams: t distinct players each, int64 [n or 1, k, t].
        contexts: Contexts per team and order.
        rng: The images' random streams.

    Yields:
        Index of the order, the contexts bool [n, k, players], and `Delta_T v(S)` float64 [n, k, games].
    """
    players, members = games[0].players, teams.shape[-1]
    for step in range(contexts):
        ranks = random_ranks(teams, players, "context of a team", step, rng)
        expanded = teams.expand(len(ranks), -1, -1)
        for index, order in enumerate(orders):
            if step == 0 or distinct_contexts(players, members, order) > 1:
                context = ranks < order
                yield index, context, torch.stack([discrete_derivative(game, expanded, context) for game in games], -1)


def team_effects(games: Sequence[Game], orders: Sequence[int], teams: Tensor, contexts: int, rng: Streams) -> Estimate:
    """Estimate `I_ij^(m)` of pairs or `phi^(m)(i)` of single players (arXiv:2103.07364, eqs. 2 and 5).

    Orders that have a single context are exact, with an error of 0.

    Args:
        games: Games of the same n images and the same players; they share all draws.
        orders: Context sizes m.
        teams: Pairs or single players, int64 [n or 1, k, t].
        contexts: Contexts per team and order.
        rng: The images' random streams.

    Returns:
        The estimate, its mean [n, orders, k, games].
    """
    players, members = games[0].players, teams.shape[-1]
    single = torch.tensor([distinct_contexts(players, members, order) == 1 for order in orders])
    tally: Tally | None = None
    for index, _, change in sampled_derivatives(games, orders, teams, contexts, rng):
        tally = tally or Tally((len(change), len(orders), teams.shape[1]), len(games))
        tally.add((slice(None), index), change[:, :, None])
    assert tally is not None
    covariance = tally.covariance().masked_fill(single[:, None, None, None], 0.0)
    forwards = 2**members * len(games) * tally.count.sum((1, 2))
    return Estimate(tally.mean(), covariance, tally.count, forwards)


def shapley_values(
    games: Sequence[Game], orders: Sequence[int], contexts: int, rng: Streams, players: Tensor | None = None
) -> Estimate:
    """Estimate multi-order Shapley values `phi^(m)(i)` (arXiv:2103.07364, eq. 5).

    The lowest and the highest order have a single context and are exact: `phi^(n - 1)(i) = v(N) - v(N - i)`.

    Args:
        games: Games of the same n images and the same players; they share all draws.
        orders: Context sizes m, from 0 to the number of players less 1.
        contexts: Contexts per player and order.
        rng: The images' random streams.
        players: The players to estimate, int64 [n or 1, k]; all by default.

    Returns:
        The estimate, its mean [n, orders, k, games].
    """
    chosen = torch.arange(games[0].players)[None] if players is None else players.cpu()
    return team_effects(games, orders, chosen[..., None], contexts, rng)
