"""What an attack on a point cloud changes, order by order, regions as players (arXiv:2103.07364, sec. 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from bench_core.clouds import is_cloud, regions

from .coalitions.image_games import OUTPUTS, ClassName, OutputName, watched_classes
from .coalitions.orders import Effort, mean_interaction, orders_fault, whole_orders
from .coalitions.region_games import RegionGame
from .order_interaction import IMAGES, PAIRS, OrderInteraction, rows_of, scores_by_order

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


@dataclass(frozen=True)
class RegionInteraction:
    """Interactions of each order between regions of clean and adversarial point clouds, and what the attack changes.

    The regions are those of the clean cloud: each point belongs to the nearest of `regions` farthest points; the points
    of absent ones go to the cloud's centre. Orders are numbers of regions, or shares of `regions` - 2; the other
    options and the scores are those of `order_interaction`.
    """

    regions: Annotated[int, Ge(3)] = 32
    orders: tuple[int | float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    pairs: Annotated[int, Ge(2)] = PAIRS
    contexts: Annotated[int, Ge(1)] = 1
    error: Annotated[float, Ge(0)] = 0.0
    output: OutputName = "log_prob"
    of: ClassName = "true"
    scores: ClassVar = OrderInteraction.scores
    labels: ClassVar = OrderInteraction.labels
    rows: ClassVar = OrderInteraction.rows

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        if not is_cloud(shape):
            return f"recipe: images are {shape}, no point clouds (would do: (3, points, 1); or order_interaction)"
        if self.regions > shape[1]:
            return f"regions: found {self.regions} (would do: 3 to {shape[1]}, as many as there are points)"
        return orders_fault(self.orders, self.regions - 2)

    @property
    def forwards(self) -> float:
        """Give the passes of one cloud."""
        return len(IMAGES) * 4 * Effort(self.pairs).draws * self.contexts * len(self.orders)

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        classes, own = watched_classes(self.of, clean, adversarial, source), regions(clean.images, self.regions)
        games = [
            RegionGame(source, clouds, own, self.regions, OUTPUTS[self.output], classes)
            for clouds in (clean.images, adversarial)
        ]
        orders = whole_orders(self.orders, self.regions - 2)
        return rows_of(mean_interaction(games, orders, Effort(self.pairs, self.contexts, self.error), rng))

    def summarise(self, rows: Rows) -> Iterator[Score]:
        return scores_by_order(rows, self.orders, self.regions)
