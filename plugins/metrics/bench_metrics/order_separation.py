"""Which order of interaction discriminates adversarial from clean images (arXiv:2103.07364, figure 6, left)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from bench_core.grid import grid_fault

from .coalitions.image_games import BaselineName, baseline, image_game
from .coalitions.mean_interaction import Effort, mean_interaction
from .coalitions.orders import Rounding, context_sizes, orders_fault
from .coalitions.pairs import Among, pairs_among
from .shared.discrimination import auroc, fisher

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


@dataclass(frozen=True)
class OrderSeparation:
    """How well the mean interaction `I^(m)` of an image discriminates adversarial from clean ones, order by order.

    The games are those of `order_interaction`, of the true class. Scores, labelled by `order`: `fisher` and `auroc` of
    the estimates as they are; `fisher_exact`, with the estimates' sampling variance subtracted, which is what the exact
    interactions would reach.

    Attributes:
        grid: Cells per side.
        orders: Cells in a context (int), or shares of grid^2 - 2 (float).
        pairs: Random pairs of cells per image and order, with one context each.
        among: Draw from `all` pairs of cells or only from `neighbours`.
        baseline: What absent cells show; see `image_games.baseline`.
        rounding: How a share of the cells becomes a number: to the `nearest`, or `down` as in the authors' code.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    pairs: Annotated[int, Ge(2)] = 100
    among: Among = "all"
    baseline: BaselineName = "channel_mean"
    rounding: Rounding = "nearest"
    scores: ClassVar = ("fisher", "fisher_exact", "auroc")
    labels: ClassVar = ("order",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 2, self.rounding)

    @property
    def forwards(self) -> float:
        """Forward passes per image."""
        return 2 * 4 * Effort(self.pairs).draws * len(self.orders)

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        games = [
            image_game(source, images, baseline(self.baseline, images, data_mean), self.grid, "log_prob", clean.labels)
            for images in (clean.images, adversarial)
        ]
        sizes, pairs = context_sizes(self.orders, self.grid**2 - 2, self.rounding), pairs_among(self.among, self.grid)
        estimate = mean_interaction(games, sizes, Effort(self.pairs), rng, pairs)
        return {"interaction": estimate.mean, "error": estimate.error}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        interaction = np.asarray(rows["interaction"], np.float64)
        sampling = np.square(np.asarray(rows["error"], np.float64)).sum(-1)
        for index, order in enumerate(self.orders):
            labels = {"order": f"{order}"}
            clean, adversarial = interaction[:, index].T
            yield fisher(clean, adversarial, labels)
            exact = fisher(clean, adversarial, labels, sampling=sampling[:, index])
            yield replace(exact, name="fisher_exact")
            yield auroc(clean, adversarial, labels)


METRIC = OrderSeparation
EXAMPLES = [{"grid": 4, "orders": [0.1, 0.5, 0.9], "pairs": 3}]
