"""Which order of interaction tells adversarial from clean images (arXiv:2103.07364, figure 6, left)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from bench_core.grid import grid_fault

from .coalitions.image_games import BaselineName, baseline, image_game
from .coalitions.orders import Effort, mean_interaction, orders_fault, whole_orders
from .interaction import Among, pairs_among
from .separation import auroc, fisher

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


@dataclass(frozen=True)
class OrderSeparation:
    """How well the mean interaction `I^(m)` of an image tells adversarial from clean ones, order by order.

    The games and orders are those of `order_interaction`, of the true class; each image and order gets `pairs` random
    pairs of cells with a context each. Scores, labelled by `order`: `fisher` and `auroc` of the estimates as they are,
    and `fisher_exact`, with the estimates' own variance taken out, what the interactions would reach without sampling.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    pairs: Annotated[int, Ge(2)] = 100
    among: Among = "all"
    baseline: BaselineName = "channel_mean"
    scores: ClassVar = ("fisher", "fisher_exact", "auroc")
    labels: ClassVar = ("order",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 2)

    @property
    def forwards(self) -> float:
        return 2 * 4 * Effort(self.pairs).draws * len(self.orders)

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        games = [
            image_game(source, images, baseline(self.baseline, images, data_mean), self.grid, "log_prob", clean.labels)
            for images in (clean.images, adversarial)
        ]
        pairs = pairs_among(self.among, self.grid)
        found = mean_interaction(games, whole_orders(self.orders, self.grid**2 - 2), Effort(self.pairs), rng, pairs)
        return {"interaction": found.mean, "error": found.error}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        interaction = np.asarray(rows["interaction"], np.float64)
        added = np.square(np.asarray(rows["error"], np.float64)).sum(-1)
        for place, order in enumerate(self.orders):
            labels = {"order": f"{order}"}
            clean, adversarial = interaction[:, place].T
            yield fisher(clean, adversarial, labels)
            exact = fisher(clean, adversarial, labels, sampling=added[:, place])
            yield replace(exact, name="fisher_exact")
            yield auroc(clean, adversarial, labels)
