"""Interactions and Shapley values of many orders (Ren et al., 2021; arXiv:2103.07364), estimated with standard errors.

The order m is the size of the context: `I_ij^(m) = E_{|S| = m}[Delta v(i, j, S)]` (eq. 2) and
`phi^(m)(i) = E_{|S| = m}[v(S + i) - v(S)]` (eq. 5), S without the players themselves. For the mean over pairs one
context on each of many pairs says more than many contexts on few; what is asked of each pair, as in the
disentanglement, needs contexts for each. All games that are given together (the clean and the adversarial image) share
pairs and contexts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .derivatives import derivative, random_ranks
from .estimates import Estimate, Strata, Tally
from .games import Game

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch

STRATA_A_ROUND = 16  # of two pairs: a round of one image is then half a batch on a CPU
PAIRS_A_STRATUM = 8  # or more: within fewer, two draws would often be of one pair, and say nothing of the error
FEWEST = 64  # strata before a standard error is believed enough to stop at


def whole_order(order: float, largest: int) -> int:
    """Give an order as a number of players: an int is one already, a float is a share of `largest`, to the nearest.

    The share is taken as it is written, so that 0.29 of 100 is 29 though `0.29 * 100 < 29`.
    """
    if isinstance(order, int):
        return order
    return math.floor(Fraction(order).limit_denominator(1_000_000) * largest + Fraction(1, 2))


def whole_orders(orders: Sequence[float], largest: int) -> list[int]:
    """Give orders as numbers of players. Raises ValueError with the reason of `orders_fault`."""
    fault = orders_fault(orders, largest)
    if fault:
        raise ValueError(fault)
    return [whole_order(order, largest) for order in orders]


def orders_fault(orders: Sequence[float], largest: int) -> str | None:
    """Say why these are no different orders of 0 to `largest` players, if they are not."""
    whole = [whole_order(order, largest) for order in orders]
    for order, m in zip(orders, whole, strict=True):
        if not 0 <= m <= largest:
            return f"orders: found {order} (would do: shares 0.0 to 1.0, or numbers 0 to {largest} of players)"
    if not orders:
        return "orders: found none (would do: [0.1, 0.5, 0.9])"
    for place, m in enumerate(whole):
        if m in whole[:place]:
            return f"orders: {orders[whole.index(m)]} and {orders[place]} are both {m} of {largest} players"
    return None


def distinct_contexts(players: int, members: int, order: int) -> int:
    """Count the contexts of `order` players that a team of `members` can have."""
    return math.comb(players - members, order)


@dataclass(frozen=True)
class Effort:
    """What to spend on each image and order: at most `pairs` >= 2 draws of a pair with `contexts` contexts each.

    With `error` > 0 an image's order is left as soon as its standard error, in each of the games, is no larger.
    """

    pairs: int
    contexts: int = 1
    error: float = 0.0

    def __post_init__(self) -> None:
        if self.pairs < 2:
            raise ValueError(f"pairs: found {self.pairs} (would do: two or more)")

    @classmethod
    def of_forwards(cls, forwards: int, games: int, contexts: int = 1, error: float = 0.0) -> Effort:
        """Give the effort of so many forwards for each image and order, all games together; two pairs at least."""
        return cls(max(2, forwards // (4 * contexts * games)), contexts, error)

    @property
    def draws(self) -> int:
        """How many pairs are drawn if nothing stops it: two for each stratum."""
        return self.pairs // 2 * 2

    def rounds(self, listed: int) -> Sequence[Tensor]:
        """Give the strata of each round: a stratum's place in a cut of the list, and how many that cut has, [k, 2].

        A cut of the list of `listed` pairs leaves `PAIRS_A_STRATUM` in each stratum or more. Where there are draws for
        more strata than that, the list is cut several times. Where an image may stop early, a round is a whole cut:
        half a cut would leave half of the pairs out.
        """
        count = self.pairs // 2
        most = min(STRATA_A_ROUND if self.error else count, max(1, listed // PAIRS_A_STRATUM))
        cuts = math.ceil(count / most)
        sizes = [count // cuts + (cut < count % cuts) for cut in range(cuts)]
        strata = torch.tensor([(place, size) for size in sizes for place in range(size)], dtype=torch.float64)
        rounds: Sequence[Tensor] = strata.split(sizes if self.error else STRATA_A_ROUND)
        return rounds


def mean_interaction(
    games: Sequence[Game], orders: Sequence[int], effort: Effort, rng: Streams, pairs: Tensor | None = None
) -> Estimate:
    """Estimate the mean over pairs of `I_ij^(m)`, [n, orders, games], from random pairs with few contexts each.

    The list of all pairs, or `pairs` int [p, 2], is cut into strata of equal length, and two pairs are drawn from each.
    What differs between strata is then no error; and half the squared difference within each, which is unbiased, says
    what is. Lists in which pairs of one place stand together gain most. Memory does not grow with the effort. Each
    image's orders stop on their own, whoever is beside it.
    """
    players, tally = games[0].players, None
    rounds = effort.rounds(players * (players - 1) if pairs is None else len(pairs))
    for step, strata in enumerate(rounds):
        place_in_cut, size = strata.repeat_interleave(2, 0).T
        share = (place_in_cut + rng.uniform("pair", step, (2 * len(strata),)).double()) / size
        teams = _pairs_at(share, players, pairs)
        if tally is None:
            tally = Strata((len(teams), len(orders)), len(games))
            going = torch.ones(len(teams), len(orders), dtype=torch.bool)
        teams = teams.repeat_interleave(effort.contexts, 1)
        ranks = random_ranks(teams, players, "context", step, rng)
        for place, order in enumerate(orders):
            rows = going[:, place].nonzero()[:, 0]
            if len(rows):
                playing = games if len(rows) == len(teams) else [game.take(rows) for game in games]
                contexts = ranks[rows] < order
                change = torch.stack([derivative(game, teams[rows], contexts) for game in playing], -1)
                tally.add((rows, place), change.unflatten(1, (len(strata), 2, effort.contexts)).mean(3))
        if effort.error:
            error = tally.covariance().diagonal(dim1=-2, dim2=-1).amax(-1).clamp(min=0).sqrt()
            going = (error > effort.error) | (tally.count < FEWEST)
            if not going.any():
                break
    assert tally is not None
    draws = 2 * tally.count
    forwards = 4 * effort.contexts * len(games) * draws.sum(1)
    return Estimate(tally.mean(), tally.covariance(), draws, tally.count, forwards)


def random_pairs(count: int, players: int, rng: Streams, pairs: Tensor | None = None) -> Tensor:
    """Draw pairs of players for each image, of all or of `pairs` int [p, 2], with replacement: int [n, count, 2]."""
    return _pairs_at(rng.uniform("pair", 0, (count,)).double(), players, pairs)


def _pairs_at(share: Tensor, players: int, pairs: Tensor | None) -> Tensor:
    """Give the pairs at these shares in [0, 1) of the list `pairs`, or of all pairs by their first player."""
    if pairs is not None:
        return pairs.cpu()[(share * len(pairs)).long()]
    number = (share * (players * (players - 1))).long()
    one, other = number // (players - 1), number % (players - 1)
    return torch.stack([one, other + (other >= one)], dim=-1)


def changes(
    games: Sequence[Game], orders: Sequence[int], teams: Tensor, contexts: int, rng: Streams
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Give each team of `teams` int [n or 1, k, t] random contexts of each order, one at a time.

    Yields the order's place, the contexts bool [n, k, players] and `Delta_T v(S)` float64 [n, k, games]. An order with
    a single context has it once.
    """
    players, members = games[0].players, teams.shape[-1]
    for step in range(contexts):
        ranks = random_ranks(teams, players, "context of a team", step, rng)
        own = teams.expand(len(ranks), -1, -1)
        for place, order in enumerate(orders):
            if step == 0 or distinct_contexts(players, members, order) > 1:
                context = ranks < order
                yield place, context, torch.stack([derivative(game, own, context) for game in games], -1)


def each_team(games: Sequence[Game], orders: Sequence[int], teams: Tensor, contexts: int, rng: Streams) -> Estimate:
    """Estimate `I_ij^(m)` of each pair, or `phi^(m)(i)` of each player, in `teams` int [n or 1, k, t].

    Shapes are [n, orders, k, games]. Orders with a single context are exact, with an error of 0.
    """
    players, members = games[0].players, teams.shape[-1]
    single = torch.tensor([distinct_contexts(players, members, order) == 1 for order in orders])
    tally: Tally | None = None
    for place, _, change in changes(games, orders, teams, contexts, rng):
        tally = tally or Tally((len(change), len(orders), teams.shape[1]), len(games))
        tally.add((slice(None), place), change[:, :, None])
    assert tally is not None
    covariance = tally.covariance().masked_fill(single[:, None, None, None], 0.0)
    forwards = 2**members * len(games) * tally.count.sum((1, 2))
    return Estimate(tally.mean(), covariance, tally.count, tally.count - 1, forwards)


def pair_interactions(
    games: Sequence[Game], orders: Sequence[int], pairs: Tensor, contexts: int, rng: Streams
) -> Estimate:
    """Estimate `I_ij^(m)` of `pairs` int [n or 1, k, 2] from `contexts` contexts each, [n, orders, k, games]."""
    return each_team(games, orders, pairs, contexts, rng)


def shapley_values(
    games: Sequence[Game], orders: Sequence[int], contexts: int, rng: Streams, players: Tensor | None = None
) -> Estimate:
    """Estimate `phi^(m)(i)` from `contexts` contexts each, [n, orders, k, games]; all, or `players` int [n or 1, k].

    Orders are 0 to players - 1; both ends have one context and are exact: `phi^(players - 1)(i) = v(N) - v(N - i)`.
    """
    asked = torch.arange(games[0].players)[None] if players is None else players.cpu()
    return each_team(games, orders, asked[..., None], contexts, rng)
