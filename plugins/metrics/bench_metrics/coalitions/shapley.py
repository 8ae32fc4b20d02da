"""Shapley interactions between players: exact if the game can be enumerated, otherwise estimated with their error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .derivatives import discrete_derivative, random_ranks
from .games import Game, all_coalitions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch

ENUMERABLE = 16  # players; 65,536 coalitions


def interaction_sums(game: Game, cells: Tensor | None = None) -> Tensor:
    """Compute `sum_{b != a} I_ab = v(all) - v(all without a) - v({a}) + v(empty)` (arXiv:2010.04055, app. F).

    `v(all)` and `v(empty)` are shared: 2 m + 2 values per image.

    Args:
        game: The game of n images.
        cells: The players a, int64 [n, m]; all by default.

    Returns:
        Sums over all other players, [n, m].
    """
    alone = torch.eye(game.players, dtype=torch.bool)[None]
    if cells is not None:
        alone = alone[0][cells.cpu()]
    all_and_empty = torch.tensor([True, False])[:, None].expand(len(alone), 2, game.players)
    values = game(torch.cat([all_and_empty, ~alone, alone], dim=1))
    count = alone.shape[1]
    v_all, v_empty, v_without, v_alone = values.split([1, 1, count, count], dim=1)
    total: Tensor = v_all - v_without - v_alone + v_empty
    return total


def pairwise_interactions(game: Game) -> Tensor:
    """Compute all `I_ij` by enumeration, [n, players, players], with a zero diagonal (2010.04055, eqs. 3 and 26).

    They are the mean over all orders of `I_ij^(m)`. Raises ValueError for more than 16 players.
    """
    return pairwise_by_order(game).mean(1)


def pairwise_by_order(game: Game) -> Tensor:
    """Compute all `I_ij^(m)` (arXiv:2103.07364, eq. 2) by enumeration, [n, players - 1, players, players].

    Orders are 0 to players - 2; the diagonal is zero. Raises ValueError for more than 16 players.
    """
    players = game.players
    if players > ENUMERABLE:
        raise ValueError(f"found {players} players, expected at most {ENUMERABLE} to enumerate (try sampling)")
    values = game(all_coalitions(players)[None])
    result = values.new_zeros(len(values), players, players, players - 1)
    for i in range(players):
        for j in range(i):
            result[:, i, j] = result[:, j, i] = _pair_by_order(values, players, i, j)
    return result.movedim(-1, 1)


def _pair_by_order(values: Tensor, players: int, i: int, j: int) -> Tensor:
    """Average `Delta v(i, j, S)` over the contexts of each size, [n, players - 1], from all values [n, 2^players]."""
    sets = all_coalitions(players)
    rest = (~sets[:, [i, j]].any(1)).nonzero()[:, 0]
    change = values[:, rest] - values[:, rest + 2**i] - values[:, rest + 2**j] + values[:, rest + 2**i + 2**j]
    sizes = torch.nn.functional.one_hot(sets[rest].sum(1)).to(values)
    return change @ (sizes / sizes.sum(0))


def sampled_interactions(game: Game, pairs: Tensor, contexts: int, rng: Streams) -> tuple[Tensor, Tensor]:
    """Estimate `I_ij` of pairs from random contexts, with 4 values of the game per context.

    The size of a context is uniform in 0..players - 2 and the context uniform among those of its size. This is the
    weight of equation 26 (arXiv:2010.04055), so the mean is unbiased.

    Args:
        game: The game of n images.
        pairs: Pairs of players, int64 [n or 1, k, 2].
        contexts: Contexts per pair, 2 or more.
        rng: The images' random streams.

    Returns:
        The estimates and their standard errors, both float32 [n, k].
    """
    total = squares = torch.zeros(())
    for context in range(contexts):
        ranks = random_ranks(pairs.cpu(), game.players, "context", context, rng)
        size = (rng.uniform("context size", context, (pairs.shape[1],)) * (game.players - 1)).long()
        change = discrete_derivative(game, pairs.cpu(), ranks < size[..., None])
        total, squares = total + change, squares + change**2
    mean = total / contexts
    variance = (squares / contexts - mean**2).clamp(min=0) * contexts / (contexts - 1)
    return mean.float(), (variance / contexts).sqrt().float()
