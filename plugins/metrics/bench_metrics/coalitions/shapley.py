"""Interactions between players of a game: exact where the game can be enumerated, else estimated with their error."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .derivatives import derivative, random_ranks
from .games import Game, every_coalition

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch

ENUMERABLE = 16  # players; 65,536 coalitions


def with_all_others(game: Game, cells: Tensor | None = None) -> Tensor:
    """Give `sum_{b != a} I_ab = v(all) - v(all without a) - v({a}) + v(empty)` of players a (arXiv:2010.04055, app. F).

    `cells` int [n, m] are the players asked for, all of them by default -> [n, m]. `v(all)` and `v(empty)` are shared:
    2 m + 2 values an image.
    """
    alone = torch.eye(game.players, dtype=torch.bool)[None]
    if cells is not None:
        alone = alone[0][cells.cpu()]
    ends = torch.tensor([True, False])[:, None].expand(len(alone), 2, game.players)
    values = game(torch.cat([ends, ~alone, alone], dim=1))
    count = alone.shape[1]
    v_all, v_empty, v_without, v_alone = values.split([1, 1, count, count], dim=1)
    total: Tensor = v_all - v_without - v_alone + v_empty
    return total


def pairwise(game: Game) -> Tensor:
    """Give all `I_ij` (arXiv:2010.04055, eqs. 3 and 26) by enumeration, [n, players, players], zero on the diagonal.

    It is the mean over all orders of `I_ij^(m)` (arXiv:2103.07364, eq. 2). Raises ValueError beyond 16 players.
    """
    return pairwise_by_order(game).mean(1)


def pairwise_by_order(game: Game) -> Tensor:
    """Give all `I_ij^(m)` (arXiv:2103.07364, eq. 2) by enumeration, [n, players - 1, players, players].

    Orders are 0 to players - 2; the diagonal is zero. Raises ValueError beyond 16 players.
    """
    values, players = _table(game), game.players
    result = values.new_zeros(len(values), players, players, players - 1)
    for i in range(players):
        for j in range(i):
            result[:, i, j] = result[:, j, i] = _mean_by_order(values, players, (i, j))
    return result.movedim(-1, 1)


def shapley_by_order(game: Game) -> Tensor:
    """Give all `phi^(m)(i)` (arXiv:2103.07364, eq. 5) by enumeration, [n, players, players]: orders, then players.

    Raises ValueError beyond 16 players.
    """
    values, players = _table(game), game.players
    return torch.stack([_mean_by_order(values, players, (i,)) for i in range(players)], dim=-1)


def _table(game: Game) -> Tensor:
    if game.players > ENUMERABLE:
        raise ValueError(f"{game.players} players are too many to enumerate; sample instead")
    return game(every_coalition(game.players)[None])


def _mean_by_order(values: Tensor, players: int, team: Sequence[int]) -> Tensor:
    """Average `Delta_T v(S)` over the contexts of each size, [n, players - t + 1], from all values [n, 2^players]."""
    sets = every_coalition(players)
    rest = (~sets[:, list(team)].any(1)).nonzero()[:, 0]
    change = torch.zeros_like(values[:, rest])
    for size in range(len(team) + 1):
        for part in itertools.combinations(team, size):
            change += (-1) ** (len(team) - size) * values[:, rest + sum(2**player for player in part)]
    sizes = torch.nn.functional.one_hot(sets[rest].sum(1)).to(values)
    return change @ (sizes / sizes.sum(0))


def sampled_pairs(game: Game, pairs: Tensor, contexts: int, rng: Streams) -> tuple[Tensor, Tensor]:
    """Estimate `I_ij` of `pairs` int [n or 1, k, 2] from `contexts` >= 2 random contexts each, 4 values a context.

    A context's size is uniform in 0..players - 2 and the context uniform among those of its size, which is the weight
    of equation 26, so that the mean is unbiased. Gives the estimates and their standard errors, both [n, k].
    """
    total = squares = torch.zeros(())
    for context in range(contexts):
        ranks = random_ranks(pairs.cpu(), game.players, "context", context, rng)
        size = (rng.uniform("context size", context, (pairs.shape[1],)) * (game.players - 1)).long()
        change = derivative(game, pairs.cpu(), ranks < size[..., None])
        total, squares = total + change, squares + change**2
    mean = total / contexts
    variance = (squares / contexts - mean**2).clamp(min=0) * contexts / (contexts - 1)
    return mean.float(), (variance / contexts).sqrt().float()
