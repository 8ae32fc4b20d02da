"""Maps of the contexts in which cells interact strongly: figures 2 and 8 of arXiv:2103.07364."""

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
from .coalitions.orders import Rounding, context_size, orders_fault
from .coalitions.pairs import Among, pairs_among, random_pairs
from .coalitions.teams import sampled_derivatives

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams
else:
    from bench_core.lazy import torch


def weighted_contexts(
    game: Game, order: int, pairs: Tensor, contexts: int, rng: Streams
) -> tuple[Tensor, Tensor, Tensor]:
    """Estimate how often each player is in the contexts that produce a pair's interaction, relative to chance.

    A context counts if its `Delta v` has the sign of the interaction, with the weight `|Delta v|` (arXiv:2103.07364,
    app. I.1). The expected share is subtracted, so 0 means no relation; the pair itself has 0.

    Args:
        game: The game of n images.
        order: Context size m.
        pairs: Pairs of players, int64 [n or 1, k, 2], k >= 2.
        contexts: Contexts per pair.
        rng: The images' random streams.

    Returns:
        The interactions `I_ij^(m)`, float64 [n, k]; the maps [n, k, players]; and control maps [n, k, players], which
        combine the weights with the contexts of another pair and so show the size of chance effects.
    """
    members = torch.nn.functional.one_hot(pairs, game.players).sum(2).bool()
    expected = order / (game.players - 2)
    total, drawn = torch.zeros(()), 0
    weight, seen, control = (torch.zeros(2, 1, 1), torch.zeros(2, 1, 1, 1), torch.zeros(2, 1, 1, 1))
    for _, context, change in sampled_derivatives([game], [order], pairs, contexts, rng):
        total, drawn = total + change[..., 0], drawn + 1
        by_sign = torch.stack([change[..., 0].clamp(min=0), -change[..., 0].clamp(max=0)])
        present = (context.double() - expected).masked_fill(members, 0.0)
        weight, seen = weight + by_sign, seen + by_sign[..., None] * present
        control = control + by_sign[..., None] * present.roll(1, 1)
    weight = weight.clamp(min=torch.finfo(torch.float64).tiny)[..., None]
    positive = (total > 0)[..., None]
    maps, control_maps = (torch.where(positive, up, down) for up, down in (seen / weight, control / weight))
    return total / drawn, maps, control_maps


@dataclass(frozen=True)
class ContextMaps:
    """Maps of the contexts in which strongly interacting pairs of cells interact, of one order, in clean images.

    The row `map` [n, grid^2] is how much more often than by chance a cell is in a context that produces the
    interaction, weighted by its effect. Scores: `strength`, the mean `|I^(m)|` of the strongest pairs; `contrast`, the
    root mean square of the map; `chance`, the contrast of control maps, whose contexts were drawn for another pair.

    Attributes:
        order: Cells in a context (int), or a share of grid^2 - 2 (float).
        grid: Cells per side.
        pairs: Random pairs per image.
        contexts: Contexts per pair.
        among: Draw from `all` pairs of cells or only from `neighbours`.
        strongest: Share of the pairs to keep, by `|I^(m)|`.
        baseline: What absent cells show; see `image_games.baseline`.
        rounding: How a share of the cells becomes a number: to the `nearest`, or `down` as in the authors' code.
    """

    order: int | float = 0.5
    grid: Annotated[int, Ge(2)] = 16
    pairs: Annotated[int, Ge(2)] = 50
    contexts: Annotated[int, Ge(2)] = 20
    among: Among = "all"
    strongest: Annotated[float, Gt(0), Le(1)] = 0.1
    baseline: BaselineName = "channel_mean"
    rounding: Rounding = "nearest"
    scores: ClassVar = ("strength", "contrast", "chance")
    rows: ClassVar = ("map",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        largest = self.grid**2 - 2
        return grid_fault(self.grid, shape) or orders_fault([self.order], largest, self.rounding, option="order")

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return 4 * self.pairs * self.contexts

    def observe(self, clean: Examples, target: Model, rng: Streams, data_mean: Tensor) -> Mapping[str, Tensor]:
        absent = baseline(self.baseline, clean.images, data_mean)
        game = image_game(target, clean.images, absent, self.grid, "log_prob", clean.labels)
        pairs = random_pairs(self.pairs, game.players, rng, pairs_among(self.among, self.grid))
        order = context_size(self.order, game.players - 2, self.rounding)
        interaction, maps, control_maps = weighted_contexts(game, order, pairs, self.contexts, rng)
        strength, kept = interaction.abs().topk(max(1, round(self.strongest * self.pairs)), dim=1)
        kept = kept[..., None].expand(-1, -1, game.players)
        return {
            "map": maps.gather(1, kept).mean(1),
            "blind": control_maps.gather(1, kept).mean(1),
            "strength": strength.mean(1),
        }

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield mean("strength", rows["strength"])
        for name, row in (("contrast", "map"), ("chance", "blind")):
            yield mean(name, np.sqrt(np.square(np.asarray(rows[row], np.float64)).mean(1)))


METRIC = ContextMaps
EXAMPLES = [{"grid": 4, "pairs": 4, "contexts": 2}]
