"""What players add together that they do not add apart: the discrete derivative of a game, and random contexts for it.

`Delta_T v(S) = sum_{L in T} (-1)^(|T| - |L|) v(S + L)`. Of one player it is the marginal contribution
`v(S + i) - v(S)`; of a pair it is `v(S + i + j) - v(S + i) - v(S + j) + v(S)` (arXiv:2103.07364, eqs. 2 and 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .games import Game, every_coalition

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch


def derivative(game: Game, teams: Tensor, contexts: Tensor) -> Tensor:
    """Give `Delta_T v(S)`, float64 [n, k]; 2^t values each.

    `teams` int [n or 1, k, t] are t distinct players each, `contexts` bool [n or 1, k, players] sets without them.
    """
    size = teams.shape[-1]
    members = torch.nn.functional.one_hot(teams, game.players).bool()
    parts = every_coalition(size)
    sets = torch.cat([contexts | members[:, :, part].any(2) for part in parts], dim=1)
    signs = 1 - 2 * ((size - parts.sum(1)) % 2)
    values = game(sets).cpu().double().unflatten(1, (len(parts), -1))
    change: Tensor = (signs[:, None] * values).sum(1)
    return change


def random_ranks(teams: Tensor, players: int, purpose: str, step: int, rng: Streams) -> Tensor:
    """Order all players at random, the team's members last: int [n, k, players] for `teams` int [n or 1, k, t].

    The players with ranks below m are a uniformly random context of m players, so that one draw serves all orders.
    """
    order = rng.uniform(purpose, step, (teams.shape[1], players))
    order = order.scatter(-1, teams.expand(len(order), -1, -1), 2.0).argsort(-1)
    return torch.empty_like(order).scatter_(-1, order, torch.arange(players).expand_as(order))
