"""Games whose values stand in a table, so that everything about them is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bench_metrics.coalitions.games import every_coalition


@dataclass(frozen=True)
class TableGame:
    """Games given by their values [n, 2^players], as `every_coalition` numbers the sets."""

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
    return TableGame(0.7 + worth @ every_coalition(players).double().T)


def smooth_games(players: int, count: int = 3) -> TableGame:
    """A softplus of weights with a few products: structured as networks are, small sets say little of large ones."""
    generator = torch.Generator().manual_seed(100 + players)
    sets = every_coalition(players).double()
    weights = torch.randn(count, players, generator=generator).double()
    products = torch.randn(count, players, players, generator=generator).double() / players
    inner = weights @ sets.T + torch.einsum("sp,npq,sq->ns", sets, products, sets)
    return TableGame(torch.nn.functional.softplus(inner))


def repeated(game: TableGame, times: int) -> TableGame:
    """The first game, `times` times: each gets random numbers of its own."""
    return TableGame(game.values[:1].expand(times, -1))
