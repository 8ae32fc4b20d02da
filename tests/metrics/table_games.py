"""Games given by a table of their values, so that every quantity can be computed by brute force."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bench_metrics.coalitions.games import all_coalitions


@dataclass(frozen=True)
class TableGame:
    """Games given by their values [n, 2^players], in the order of `all_coalitions`."""

    values: Tensor

    @property
    def players(self) -> int:
        return int(math.log2(self.values.shape[1]))

    def __call__(self, coalitions: Tensor) -> Tensor:
        numbers = (coalitions * 2 ** torch.arange(self.players)).sum(-1)
        return self.values.gather(1, numbers.expand(len(self.values), -1))

    def take(self, rows: Tensor) -> Self:
        return type(self)(self.values[rows])


def random_games(players: int, count: int = 3, seed: int | None = None) -> TableGame:
    generator = torch.Generator().manual_seed(players if seed is None else seed)
    return TableGame(torch.randn(count, 2**players, generator=generator).double())


def additive_games(players: int) -> TableGame:
    worth = torch.randn(2, players, generator=torch.Generator().manual_seed(1)).double()
    return TableGame(0.7 + worth @ all_coalitions(players).double().T)


def smooth_games(players: int, count: int = 3) -> TableGame:
    """Return softpluses of quadratic functions: as in a network, small sets predict little about large ones."""
    generator = torch.Generator().manual_seed(100 + players)
    sets = all_coalitions(players).double()
    weights = torch.randn(count, players, generator=generator).double()
    products = torch.randn(count, players, players, generator=generator).double() / players
    inner = weights @ sets.T + torch.einsum("sp,npq,sq->ns", sets, products, sets)
    return TableGame(torch.nn.functional.softplus(inner))


def repeated(game: TableGame, times: int) -> TableGame:
    """Repeat the first game; each copy gets its own random stream."""
    return TableGame(game.values[:1].expand(times, -1))


def shapley_by_order(game: TableGame) -> Tensor:
    """Compute all `phi^(m)(i)` by equation 5 of arXiv:2103.07364, over all contexts: [n, orders, players]."""
    return torch.stack(
        [torch.stack([_mean_marginal(game, i, m) for i in range(game.players)], -1) for m in range(game.players)], 1
    )


def _mean_marginal(game: TableGame, i: int, size: int) -> Tensor:
    rest = [p for p in range(game.players) if p != i]
    contexts = [sum(2**p for p in chosen) for chosen in itertools.combinations(rest, size)]
    return (game.values[:, [s + 2**i for s in contexts]] - game.values[:, contexts]).mean(1)
