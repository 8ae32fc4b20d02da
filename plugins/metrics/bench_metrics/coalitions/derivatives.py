"""The discrete derivative of a game, which is the joint effect of a team of players, and random contexts for it.

`Delta_T v(S) = sum_{L in T} (-1)^(|T| - |L|) v(S + L)`. For one player it is the marginal contribution
`v(S + i) - v(S)`; for a pair it is `v(S + i + j) - v(S + i) - v(S + j) + v(S)` (arXiv:2103.07364, eqs. 2 and 5).
The set T is called the team, the set S its context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .games import Game, all_coalitions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch


def discrete_derivative(game: Game, teams: Tensor, contexts: Tensor) -> Tensor:
    """Compute `Delta_T v(S)` from 2^t values of the game each.

    Args:
        game: The game of n images.
        teams: t distinct players each, int64 [n or 1, k, t].
        contexts: Sets of players without the team's, bool [n or 1, k, players].

    Returns:
        Derivatives, float64 [n, k].
    """
    size = teams.shape[-1]
    members = torch.nn.functional.one_hot(teams, game.players).bool()
    subsets = all_coalitions(size)
    sets = torch.cat([contexts | members[:, :, subset].any(2) for subset in subsets], dim=1)
    signs = 1 - 2 * ((size - subsets.sum(1)) % 2)
    values = game(sets).cpu().double().unflatten(1, (len(subsets), -1))
    change: Tensor = (signs[:, None] * values).sum(1)
    return change


def random_ranks(teams: Tensor, players: int, purpose: str, step: int, rng: Streams) -> Tensor:
    """Rank all players in random order, the team's members last.

    The players with ranks below m are a uniformly random context of m players, so one draw serves all orders.

    Args:
        teams: t distinct players each, int64 [n or 1, k, t].
        players: Number of players.
        purpose: Name of the random stream.
        step: Step of the random stream.
        rng: The images' random streams.

    Returns:
        Rank of each player, int64 [n, k, players].
    """
    order = rng.uniform(purpose, step, (teams.shape[1], players))
    order = order.scatter(-1, teams.expand(len(order), -1, -1), 2.0).argsort(-1)
    return torch.empty_like(order).scatter_(-1, order, torch.arange(players).expand_as(order))
