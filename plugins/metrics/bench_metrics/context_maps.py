"""In which contexts strongly interacting cells interact: figures 2 and 8 of arXiv:2103.07364."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from bench_core.grid import grid_fault
from bench_core.statistics import mean

from .coalitions.games import Game
from .coalitions.image_games import BaselineName, baseline, image_game
from .coalitions.orders import changes, orders_fault, random_pairs, whole_order
from .interaction import Among, pairs_among

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch


def weighted_contexts(
    game: Game, order: int, pairs: Tensor, contexts: int, rng: Streams
) -> tuple[Tensor, Tensor, Tensor]:
    """Give each pair's `I_ij^(m)` float64 [n, k]; how often players are in the contexts that make it; and by chance.

    Contexts count where they have the sign of the interaction, `Delta v I > 0`, each with the weight `|Delta v|` (app.
    I.1). Of the share of that weight in which a player takes part, [n, k, players], the expectation is taken off, so
    that 0 says nothing; the pair itself has 0. The third is the second again with the contexts of another pair, which
    know nothing of the weights: what it shows is chance. `pairs` int [n or 1, k >= 2, 2].
    """
    own = torch.nn.functional.one_hot(pairs, game.players).sum(2).bool()
    expected = order / (game.players - 2)
    total, drawn = torch.zeros(()), 0
    weight, seen, blind = (torch.zeros(2, 1, 1), torch.zeros(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
    for _, context, change in changes([game], [order], pairs, contexts, rng):
        total, drawn = total + change[..., 0], drawn + 1
        part = torch.stack([change[..., 0].clamp(min=0), -change[..., 0].clamp(max=0)])
        present = (context.double() - expected).masked_fill(own, 0.0)
        weight, seen = weight + part, seen + part[..., None] * present
        blind = blind + part[..., None] * present.roll(1, 1)
    weight = weight.clamp(min=torch.finfo(torch.float64).tiny)[..., None]
    positive = (total > 0)[..., None]
    own_sign, of_chance = (torch.where(positive, each[0], each[1]) for each in (seen / weight, blind / weight))
    return total / drawn, own_sign, of_chance


@dataclass(frozen=True)
class ContextMaps:
    """Maps of the contexts in which strongly interacting pairs of cells interact, of one order, in clean images.

    Of `pairs` random pairs, of `all` cells or of `neighbours` alone, with `contexts` contexts each, the `strongest`
    share by `|I^(m)|` is kept. The row `map` [n, grid^2] is how much more often than by chance a cell is in a context
    that makes the interaction, weighted by its effect. Scores: `strength`, the mean `|I^(m)|` of the pairs kept;
    `contrast`, the root mean square of the map; `chance`, the contrast that contexts have that were drawn for another
    pair.
    """

    order: int | float = 0.5
    grid: Annotated[int, Ge(2)] = 16
    pairs: Annotated[int, Ge(2)] = 50
    contexts: Annotated[int, Ge(2)] = 20
    among: Among = "all"
    strongest: Annotated[float, Gt(0), Le(1)] = 0.1
    baseline: BaselineName = "channel_mean"
    scores: ClassVar = ("strength", "contrast", "chance")
    rows: ClassVar = ("map",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        fault = orders_fault([self.order], self.grid**2 - 2)
        return grid_fault(self.grid, shape) or (fault and fault.replace("orders", "order", 1))

    @property
    def forwards(self) -> float:
        return 4 * self.pairs * self.contexts

    def observe(self, clean: Examples, target: Model, rng: Streams, data_mean: Tensor) -> Mapping[str, Tensor]:
        absent = baseline(self.baseline, clean.images, data_mean)
        game = image_game(target, clean.images, absent, self.grid, "log_prob", clean.labels)
        pairs = random_pairs(self.pairs, game.players, rng, pairs_among(self.among, self.grid))
        m = whole_order(self.order, game.players - 2)
        interaction, seen, blind = weighted_contexts(game, m, pairs, self.contexts, rng)
        strength, place = interaction.abs().topk(max(1, round(self.strongest * self.pairs)), dim=1)
        place = place[..., None].expand(-1, -1, game.players)
        maps = {name: each.gather(1, place).mean(1) for name, each in (("map", seen), ("blind", blind))}
        return {**maps, "strength": strength.mean(1)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("strength", rows["strength"])
        for name, row in (("contrast", "map"), ("chance", "blind")):
            yield mean(name, np.sqrt(np.square(np.asarray(rows[row], np.float64)).mean(1)))
