"""Interactions between players of a game: exact where the game can be enumerated, else estimated with their error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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

    Raises ValueError beyond 16 players.
    """
    players = game.players
    if players > ENUMERABLE:
        raise ValueError(f"{players} players are too many to enumerate; sample instead")
    sets = every_coalition(players)
    values = game(sets[None])
    number, sizes = torch.arange(len(sets)), sets.sum(1)
    weights = torch.tensor(
        [1 / ((players - 1) * math.comb(players - 2, s)) if s <= players - 2 else 0.0 for s in range(players + 1)],
        dtype=values.dtype,
        device=values.device,
    )
    result = values.new_zeros(len(values), players, players)
    for i in range(players):
        for j in range(i):
            rest = number[~sets[:, i] & ~sets[:, j]]
            both, only_i, only_j = rest + 2**i + 2**j, rest + 2**i, rest + 2**j
            together = values[:, both] - values[:, only_i] - values[:, only_j] + values[:, rest]
            result[:, i, j] = result[:, j, i] = together @ weights[sizes[rest]]
    return result


def sampled_pairs(game: Game, pairs: Tensor, contexts: int, rng: Streams) -> tuple[Tensor, Tensor]:
    """Estimate `I_ij` of `pairs` int [n or 1, k, 2] from `contexts` >= 2 random contexts each, 4 values a context.

    A context's size is uniform in 0..players - 2 and the context uniform among those of its size, which is the weight
    of equation 26, so that the mean is unbiased. Gives the estimates and their standard errors, both [n, k].
    """
    first, second = pairs.cpu().unbind(-1)
    total = squares = torch.zeros(())
    for context in range(contexts):
        rest = _contexts(first, second, game.players, context, rng)
        values = game(torch.cat([rest, rest, rest, rest], dim=1) | _added(first, second, rest))
        both, only_i, only_j, neither = values.double().chunk(4, dim=1)
        change = both - only_i - only_j + neither
        total, squares = total + change, squares + change**2
    mean = total / contexts
    variance = (squares / contexts - mean**2).clamp(min=0) * contexts / (contexts - 1)
    return mean.float(), (variance / contexts).sqrt().float()


def _contexts(first: Tensor, second: Tensor, players: int, number: int, rng: Streams) -> Tensor:
    """Draw for each image and pair a set without the pair, bool [n, k, players]."""
    pairs = first.shape[1]
    order = rng.uniform("context", number, (pairs, players))
    for member in (first, second):
        order = order.scatter(-1, member.expand(len(order), -1)[..., None], 2.0)
    size = (rng.uniform("context size", number, (pairs,)) * (players - 1)).long()
    return order.argsort(-1).argsort(-1) < size[..., None]


def _added(first: Tensor, second: Tensor, like: Tensor) -> Tensor:
    """Give what is added to the contexts: both, the first, the second, none; bool [n, 4 k, players]."""
    one, other = (
        torch.zeros_like(like).scatter(-1, member.expand(len(like), -1)[..., None], True) for member in (first, second)
    )
    return torch.cat([one | other, one, other, torch.zeros_like(like)], dim=1)
