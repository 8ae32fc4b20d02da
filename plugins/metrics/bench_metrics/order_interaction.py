"""What an attack changes, order by order: figures 3, 4, 7, 9 and tables 2, 3 of arXiv:2103.07364."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from bench_core.grid import grid_fault

from .coalitions.image_games import BaselineName, ClassName, OutputName, baseline, game_classes, image_game
from .coalitions.mean_interaction import Effort, mean_interaction
from .coalitions.orders import Rounding, context_sizes, orders_fault
from .coalitions.pairs import Among, pairs_among
from .shared.order_scores import IMAGES, LABELS, PAIRS, ROWS, SCORES, rows_of, scores_by_order

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


@dataclass(frozen=True)
class OrderInteraction:
    """Interactions of each order in clean and adversarial images, and the part of the attack's effect at each order.

    The clean and the adversarial image of a pair share all random pairs and contexts. The scores are described in
    `order_scores.scores_by_order`; `utility` is in the unit of the output. Rows: `interaction` [n, orders, 2] and
    `change` [n, orders].

    Attributes:
        grid: Cells per side.
        orders: Cells in a context (int), or shares of grid^2 - 2 (float); those of table 2 by default.
        pairs: Random pairs per image and order; 100 if `forwards_each` is not given either.
        forwards_each: Forward passes per image and order, clean and adversarial together; instead of `pairs`.
        error: Standard error at which to stop sampling an order of an image; 0 to use all pairs.
        contexts: Contexts per pair.
        among: Draw from `all` pairs of cells or only from `neighbours`.
        output: Value of the game: `log_prob`, `others`, `logit` or `margin`; see `image_games.OUTPUTS`.
        of: Class of the game: the `true` one, or the `target` of the attack; see `image_games.game_classes`.
        baseline: What absent cells show; see `image_games.baseline`.
        rounding: How a share of the cells becomes a number: to the `nearest`, or `down` as in the authors' code.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    pairs: Annotated[int, Ge(2)] | None = None
    forwards_each: Annotated[int, Ge(1)] | None = None
    error: Annotated[float, Ge(0)] = 0.0
    contexts: Annotated[int, Ge(1)] = 1
    among: Among = "all"
    output: OutputName = "log_prob"
    of: ClassName = "true"
    baseline: BaselineName = "channel_mean"
    rounding: Rounding = "nearest"
    scores: ClassVar = SCORES
    labels: ClassVar = LABELS
    rows: ClassVar = ROWS

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        if self.pairs and self.forwards_each:
            return f"forwards_each: found {self.forwards_each} beside pairs = {self.pairs} (remove one)"
        least = 4 * 2 * len(IMAGES) * self.contexts
        if self.forwards_each and self.forwards_each < least:
            return f"forwards_each: found {self.forwards_each}, fewer than two pairs take (try {least} or more)"
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 2, self.rounding)

    @property
    def effort(self) -> Effort:
        if self.forwards_each:
            return Effort.of_forwards(self.forwards_each, len(IMAGES), self.contexts, self.error)
        return Effort(self.pairs or PAIRS, self.contexts, self.error)

    @property
    def forwards(self) -> float:
        """Forward passes per image, at most."""
        return len(IMAGES) * 4 * self.effort.draws * self.contexts * len(self.orders)

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        classes = game_classes(self.of, clean, adversarial, source)
        games = [
            image_game(source, images, baseline(self.baseline, images, data_mean), self.grid, self.output, classes)
            for images in (clean.images, adversarial)
        ]
        sizes = context_sizes(self.orders, self.grid**2 - 2, self.rounding)
        return rows_of(mean_interaction(games, sizes, self.effort, rng, pairs_among(self.among, self.grid)))

    def summarise(self, rows: Rows) -> Iterator[Score]:
        return scores_by_order(rows, self.orders, self.grid**2, self.rounding)


METRIC = OrderInteraction
EXAMPLES = [{"grid": 4, "orders": [0.1, 0.5, 0.9], "pairs": 3, "contexts": 2}]
