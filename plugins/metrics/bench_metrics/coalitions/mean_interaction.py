"""The mean over pairs of the interactions of each order, by stratified sampling of pairs.

For a mean over pairs, one context on each of many pairs is more accurate than many contexts on few pairs. All games
given together (of the clean and the adversarial image) share pairs and contexts, so that their difference is paired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .derivatives import discrete_derivative, random_ranks
from .estimates import Estimate, Strata
from .games import Game
from .pairs import pairs_at

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Streams
else:
    from bench_core.lazy import torch

STRATA_PER_ROUND = 16  # of two pairs: a round of one image is then half a batch on a CPU
PAIRS_PER_STRATUM = 8  # at least: with fewer, both draws would often be the same pair and show no error
MIN_STRATA = 64  # before a standard error is reliable enough to stop at


@dataclass(frozen=True)
class Effort:
    """The sampling effort per image and order.

    Attributes:
        pairs: Pairs to draw, at most; 2 or more.
        contexts: Contexts per pair.
        error: If positive, stop sampling an order of an image once the standard error of every game is at most this.
    """

    pairs: int
    contexts: int = 1
    error: float = 0.0

    def __post_init__(self) -> None:
        if self.pairs < 2:
            raise ValueError(f"pairs: found {self.pairs} (try 2 or more)")

    @classmethod
    def of_forwards(cls, forwards: int, games: int, contexts: int = 1, error: float = 0.0) -> Effort:
        """Return the effort that a number of forward passes allows, with at least two pairs.

        Args:
            forwards: Forward passes per image and order, all games together.
            games: Number of games.
            contexts: Contexts per pair.
            error: Standard error to stop at; 0 to use all passes.

        Returns:
            The effort.
        """
        return cls(max(2, forwards // (4 * contexts * games)), contexts, error)

    @property
    def draws(self) -> int:
        """Number of pairs drawn without early stopping: two per stratum."""
        return self.pairs // 2 * 2

    def rounds(self, listed: int) -> Sequence[Tensor]:
        """Divide the draws from a list of pairs into rounds of strata.

        The list is cut into strata of at least `PAIRS_PER_STRATUM` pairs; if there are draws for more strata than one
        cut gives, it is cut several times. With early stopping, a round is a complete cut, because half a cut would
        leave out half of the pairs.

        Args:
            listed: Number of pairs in the list.

        Returns:
            For each round, the position of each stratum in its cut and the number of strata of that cut, [k, 2].
        """
        count = self.pairs // 2
        strata_per_cut = min(STRATA_PER_ROUND if self.error else count, max(1, listed // PAIRS_PER_STRATUM))
        cuts = math.ceil(count / strata_per_cut)
        sizes = [count // cuts + (cut < count % cuts) for cut in range(cuts)]
        strata = torch.tensor([(position, size) for size in sizes for position in range(size)], dtype=torch.float64)
        rounds: Sequence[Tensor] = strata.split(sizes if self.error else STRATA_PER_ROUND)
        return rounds


def mean_interaction(
    games: Sequence[Game], orders: Sequence[int], effort: Effort, rng: Streams, pairs: Tensor | None = None
) -> Estimate:
    """Estimate the mean over pairs of `I_ij^(m)` (arXiv:2103.07364, eq. 2).

    The list of pairs is cut into strata of equal length, and two pairs are drawn from each. Differences between strata
    then add no error, and half the squared difference within a stratum is an unbiased estimate of the remaining one.
    Lists that keep similar pairs together gain most. Memory does not grow with the effort. Early stopping is decided
    for each image and order separately, so results do not depend on the batch.

    Args:
        games: Games of the same n images and the same players; they share all draws.
        orders: Context sizes m.
        effort: How much to sample.
        rng: The images' random streams.
        pairs: The pairs to average over, int64 [p, 2]; all ordered pairs by default.

    Returns:
        The estimate, its mean [n, orders, games].
    """
    players, tally = games[0].players, None
    for step, strata in enumerate(effort.rounds(players * (players - 1) if pairs is None else len(pairs))):
        position, size = strata.repeat_interleave(2, 0).T
        share = (position + rng.uniform("pair", step, (2 * len(strata),)).double()) / size
        teams = pairs_at(share, players, pairs)
        if tally is None:
            tally = Strata((len(teams), len(orders)), len(games))
            active = torch.ones(len(teams), len(orders), dtype=torch.bool)
        teams = teams.repeat_interleave(effort.contexts, 1)
        ranks = random_ranks(teams, players, "context", step, rng)
        for index, order in enumerate(orders):
            rows = active[:, index].nonzero()[:, 0]
            if len(rows):
                active_games = games if len(rows) == len(teams) else [game.take(rows) for game in games]
                contexts = ranks[rows] < order
                change = torch.stack([discrete_derivative(game, teams[rows], contexts) for game in active_games], -1)
                tally.add((rows, index), change.unflatten(1, (len(strata), 2, effort.contexts)).mean(3))
        if effort.error:
            error = tally.covariance().diagonal(dim1=-2, dim2=-1).amax(-1).clamp(min=0).sqrt()
            active = (error > effort.error) | (tally.count < MIN_STRATA)
            if not active.any():
                break
    assert tally is not None
    draws = 2 * tally.count
    forwards = 4 * effort.contexts * len(games) * draws.sum(1)
    return Estimate(tally.mean(), tally.covariance(), draws, forwards)
