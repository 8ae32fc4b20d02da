"""Whether pairs of cells act alike in every context: figure 5 of arXiv:2103.07364."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from bench_core.grid import grid_fault
from bench_core.statistics import bootstrap_means, mean
from bench_core.types import Score

from .coalitions.games import Game
from .coalitions.image_games import BaselineName, baseline, image_game
from .coalitions.orders import Rounding, context_sizes, distinct_contexts, orders_fault
from .coalitions.pairs import Among, pairs_among, random_pairs
from .coalitions.teams import sampled_derivatives

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Streams
else:
    from bench_core.lazy import torch

Form = Literal["mean_of_ratios", "ratio_of_means"]
ROUNDING = 1e-5  # a mean |Delta v| below this is float32 rounding error, not interaction


def disentangled(
    game: Game, orders: Sequence[int], pairs: Tensor, contexts: int, rng: Streams
) -> tuple[Tensor, Tensor, Tensor]:
    """Estimate the disentanglement `D = |E_S Delta v| / E_S |Delta v|` of pairs in two ways (2103.07364, eq. 4).

    The plug-in estimate replaces expectations by means. For pure noise it is about 1 / sqrt(contexts), not 0, because
    the mean of noise is never 0. The corrected estimate takes the sign of each `Delta v` from the other contexts,
    `sum_S sign(sum_{S' != S} Delta v(S')) Delta v(S) / sum_S |Delta v(S)|`. It is 0 on average for noise, 1 for a
    consistent pair, and slightly too small in between.

    Args:
        game: The game of n images.
        orders: Context sizes m.
        pairs: Pairs of players, int64 [n or 1, k, 2].
        contexts: Contexts per pair and order.
        rng: The images' random streams.

    Returns:
        The plug-in and the corrected estimate, and their denominator `E_S |Delta v|`, all float64 [n, orders, k]. They
        are NaN where a pair has no effect, and for orders with fewer than `contexts` different contexts, where the
        value would depend on how few there are.
    """
    gathered: list[list[Tensor]] = [[] for _ in orders]
    for index, _, change in sampled_derivatives([game], orders, pairs, contexts, rng):
        gathered[index].append(change[..., 0])
    plug_in, corrected, effects = [], [], []
    for order, changes in zip(orders, gathered, strict=True):
        change = torch.stack(changes, -1)
        total, strength = change.sum(-1, keepdim=True), change.abs().sum(-1)
        known = strength > ROUNDING * len(changes)
        if distinct_contexts(game.players, 2, order) < contexts:
            known = torch.zeros_like(known)
        strength = torch.where(known, strength, torch.nan)
        plug_in.append(total[..., 0].abs() / strength)
        corrected.append(((total - change).sign() * change).sum(-1) / strength)
        effects.append(strength / len(changes))
    return torch.stack(plug_in, 1), torch.stack(corrected, 1), torch.stack(effects, 1)


def weighted_mean(
    name: str, values: NDArray[np.float64], weights: NDArray[np.float64], labels: Mapping[str, str]
) -> Score:
    """Build the score of a weighted mean over images [n], with its 95% bootstrap interval; NaN without images."""
    if len(values) == 0:
        return Score(name, math.nan, math.nan, math.nan, 0, labels)
    low, high = np.quantile(bootstrap_means(weights * values) / bootstrap_means(weights), [0.025, 0.975])
    return Score(name, float(np.average(values, weights=weights)), float(low), float(high), len(values), labels)


@dataclass(frozen=True)
class Disentanglement:
    """How consistently pairs of cells act over contexts, `D^(m)`, order by order, in clean images.

    The paper defines it as the mean over pairs and images of `|E_S Delta v| / E_S |Delta v|` (eq. 4). The authors' code
    divides the mean of the numerators by the mean of the denominators, in which pairs with a strong effect count more.

    Each pair needs contexts of its own, so a run takes `4 pairs contexts` forward passes per image and order.

    Scores, labelled by `order`: `corrected`, 0 for noise and 1 for pairs that always act alike; `plug_in`, the paper's,
    about 1 / sqrt(contexts) for noise; `different_contexts`, the number of contexts that an order has; D is NaN with
    fewer than `contexts`. Rows: `corrected` and `plug_in`, [n, orders], over the pairs of one image.

    Attributes:
        grid: Cells per side.
        orders: Cells in a context (int), or shares of grid^2 - 2 (float); those of table 2 by default.
        pairs: Random pairs per image.
        contexts: Contexts per pair and order.
        among: Draw from `all` pairs of cells or only from `neighbours`.
        form: Equation 4, the `mean_of_ratios`, or the authors' code, the `ratio_of_means`.
        baseline: What absent cells show; see `image_games.baseline`.
        rounding: How a share of the cells becomes a number: to the `nearest`, or `down` as in the authors' code.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    pairs: Annotated[int, Ge(1)] = 20
    contexts: Annotated[int, Ge(2)] = 20
    among: Among = "all"
    form: Form = "mean_of_ratios"
    baseline: BaselineName = "channel_mean"
    rounding: Rounding = "nearest"
    scores: ClassVar = ("corrected", "plug_in", "different_contexts")
    labels: ClassVar = ("order",)
    rows: ClassVar = ("corrected", "plug_in")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 2, self.rounding)

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return 4 * self.pairs * self.contexts * len(self.orders)

    @property
    def context_sizes(self) -> list[int]:
        return context_sizes(self.orders, self.grid**2 - 2, self.rounding)

    def observe(self, clean: Examples, target: Model, rng: Streams, data_mean: Tensor) -> Mapping[str, Tensor]:
        absent = baseline(self.baseline, clean.images, data_mean)
        game = image_game(target, clean.images, absent, self.grid, "log_prob", clean.labels)
        pairs = random_pairs(self.pairs, game.players, rng, pairs_among(self.among, self.grid))
        plug_in, corrected, effect = disentangled(game, self.context_sizes, pairs, self.contexts, rng)
        weight = effect if self.form == "ratio_of_means" else effect.isfinite().to(effect)
        total = weight.nansum(-1)
        return {
            "plug_in": (weight * plug_in).nansum(-1) / total,
            "corrected": (weight * corrected).nansum(-1) / total,
            "weight": total,
        }

    def summarise(self, rows: Rows) -> Iterator[Score]:
        for index, (order, m) in enumerate(zip(self.orders, self.context_sizes, strict=True)):
            labels = {"order": f"{order}"}
            for name in ("corrected", "plug_in"):
                values = np.asarray(rows[name], np.float64)[:, index]
                known = np.isfinite(values)
                if self.form == "ratio_of_means":
                    yield weighted_mean(name, values[known], np.asarray(rows["weight"])[known, index], labels)
                else:
                    yield mean(name, values[known], labels, known)
            count = float(distinct_contexts(self.grid**2, 2, m))
            yield Score("different_contexts", count, count, count, len(rows["corrected"]), labels)


METRIC = Disentanglement
EXAMPLES = [{"grid": 4, "orders": [0.1, 0.5, 0.9], "pairs": 3, "contexts": 2}]
