"""Whether pairs of cells act alike in every context: figure 5 of arXiv:2103.07364."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from bench_core.grid import grid_fault
from bench_core.statistics import mean
from bench_core.types import Score

from .coalitions.games import Game
from .coalitions.image_games import BaselineName, baseline, image_game
from .coalitions.orders import changes, distinct_contexts, orders_fault, random_pairs, whole_orders
from .interaction import Among, pairs_among
from .order_interaction import ORDERS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Streams
else:
    from bench_core.lazy import torch

ROUNDING = 1e-5  # a mean |Delta v| below it is what float32 makes of no interaction at all


def disentangled(
    game: Game, orders: Sequence[int], pairs: Tensor, contexts: int, rng: Streams
) -> tuple[Tensor, Tensor]:
    """Estimate `|E_S Delta v| / E_S |Delta v|` (eq. 4) of pairs int [n or 1, k, 2]: two estimates [n, orders, k].

    The first puts means in for expectations. Pure noise then has about 1 / sqrt(contexts) and not 0, since the mean of
    noise is never 0. The second takes the sign of each `Delta v` from the other contexts:
    `sum_S sign(sum_{S' != S} Delta v(S')) Delta v(S) / sum_S |Delta v(S)|`, which is 0 on average for noise, 1 for a
    pair that is consistent, and a little low between. NaN where a pair does nothing, and for orders with fewer
    different contexts than are asked for, where the value would say how few there are.
    """
    gathered: list[list[Tensor]] = [[] for _ in orders]
    for place, _, change in changes([game], orders, pairs, contexts, rng):
        gathered[place].append(change[..., 0])
    plug_in, corrected = [], []
    for order, each in zip(orders, gathered, strict=True):
        change = torch.stack(each, -1)
        total, strength = change.sum(-1, keepdim=True), change.abs().sum(-1)
        known = strength > ROUNDING * len(each)
        if distinct_contexts(game.players, 2, order) < contexts:
            known = torch.zeros_like(known)
        strength = torch.where(known, strength, torch.nan)
        plug_in.append(total[..., 0].abs() / strength)
        corrected.append(((total - change).sign() * change).sum(-1) / strength)
    return torch.stack(plug_in, 1), torch.stack(corrected, 1)


@dataclass(frozen=True)
class Disentanglement:
    """How alike pairs of cells act in every context, `D^(m)`, order by order, in clean images.

    Each image has `pairs` random pairs, of `all` cells or of `neighbours` alone, with `contexts` contexts of every
    order: `4 pairs contexts` passes an order. It takes contexts for each pair, so that what saves passes in a mean over
    pairs does not help here. Scores, labelled by `order`: `corrected`, 0 for noise and 1 for pairs that always act
    alike; `plug_in`, the paper's, which is about 1 / sqrt(contexts) for noise; `different_contexts`, how many an order
    has: with fewer than `contexts` it has no D.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = ORDERS
    pairs: Annotated[int, Ge(1)] = 20
    contexts: Annotated[int, Ge(2)] = 20
    among: Among = "all"
    baseline: BaselineName = "channel_mean"
    scores: ClassVar = ("corrected", "plug_in", "different_contexts")
    labels: ClassVar = ("order",)
    rows: ClassVar = ("corrected", "plug_in")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 2)

    @property
    def forwards(self) -> float:
        return 4 * self.pairs * self.contexts * len(self.orders)

    @property
    def whole(self) -> list[int]:
        return whole_orders(self.orders, self.grid**2 - 2)

    def observe(self, clean: Examples, target: Model, rng: Streams, data_mean: Tensor) -> Mapping[str, Tensor]:
        absent = baseline(self.baseline, clean.images, data_mean)
        game = image_game(target, clean.images, absent, self.grid, "log_prob", clean.labels)
        pairs = random_pairs(self.pairs, game.players, rng, pairs_among(self.among, self.grid))
        plug_in, corrected = disentangled(game, self.whole, pairs, self.contexts, rng)
        return {"plug_in": plug_in.nanmean(-1), "corrected": corrected.nanmean(-1)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        for place, (order, m) in enumerate(zip(self.orders, self.whole, strict=True)):
            labels = {"order": f"{order}"}
            for name in ("corrected", "plug_in"):
                values = np.asarray(rows[name], np.float64)[:, place]
                known = np.isfinite(values)
                yield mean(name, values[known], labels, known)
            count = float(distinct_contexts(self.grid**2, 2, m))
            yield Score("different_contexts", count, count, count, len(rows["corrected"]), labels)
