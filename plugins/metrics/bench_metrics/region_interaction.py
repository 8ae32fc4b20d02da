"""What an attack on a point cloud changes, order by order, with regions as players (arXiv:2103.07364, sec. 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from bench_core.clouds import is_cloud, regions

from .coalitions.image_games import OUTPUTS, ClassName, OutputName, game_classes
from .coalitions.mean_interaction import Effort, mean_interaction
from .coalitions.orders import context_sizes, orders_fault
from .coalitions.region_games import RegionGame
from .shared.order_scores import IMAGES, LABELS, PAIRS, ROWS, SCORES, rows_of, scores_by_order

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


@dataclass(frozen=True)
class RegionInteraction:
    """Interactions of each order between regions of clean and adversarial point clouds, and what the attack changes.

    The regions are those of the clean cloud: each point belongs to the nearest of `regions` farthest points. Points of
    absent regions move to the cloud's centre. The scores are described in `order_scores.scores_by_order`. Rows:
    `interaction` [n, orders, 2] and `change` [n, orders].

    Attributes:
        regions: Number of regions.
        orders: Regions in a context (int), or shares of `regions` - 2 (float).
        pairs: Random pairs per cloud and order.
        contexts: Contexts per pair.
        error: Standard error at which to stop sampling an order of a cloud; 0 to use all pairs.
        output: Value of the game: `log_prob`, `others`, `logit` or `margin`; see `image_games.OUTPUTS`.
        of: Class of the game: the `true` one, or the `target` of the attack; see `image_games.game_classes`.
    """

    regions: Annotated[int, Ge(3)] = 32
    orders: tuple[int | float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    pairs: Annotated[int, Ge(2)] = PAIRS
    contexts: Annotated[int, Ge(1)] = 1
    error: Annotated[float, Ge(0)] = 0.0
    output: OutputName = "log_prob"
    of: ClassName = "true"
    scores: ClassVar = SCORES
    labels: ClassVar = LABELS
    rows: ClassVar = ROWS

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        if not is_cloud(shape):
            return f"recipe: found images {shape}, expected point clouds (3, points, 1) (try order_interaction)"
        if self.regions > shape[1]:
            return f"regions: found {self.regions}, more than the {shape[1]} points (try 3 to {shape[1]})"
        return orders_fault(self.orders, self.regions - 2)

    @property
    def forwards(self) -> float:
        """Forward passes per cloud, at most."""
        return len(IMAGES) * 4 * Effort(self.pairs).draws * self.contexts * len(self.orders)

    def observe(self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams) -> Mapping[str, Tensor]:
        classes = game_classes(self.of, clean, adversarial, source)
        region_of_point = regions(clean.images, self.regions)
        games = [
            RegionGame(source, clouds, region_of_point, self.regions, OUTPUTS[self.output], classes)
            for clouds in (clean.images, adversarial)
        ]
        sizes = context_sizes(self.orders, self.regions - 2)
        return rows_of(mean_interaction(games, sizes, Effort(self.pairs, self.contexts, self.error), rng))

    def summarise(self, rows: Rows) -> Iterator[Score]:
        return scores_by_order(rows, self.orders, self.regions)


METRIC = RegionInteraction
EXAMPLES = [{"regions": 8, "orders": [0, 3, 6], "pairs": 3}]
