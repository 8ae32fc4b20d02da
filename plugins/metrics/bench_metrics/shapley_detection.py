"""Detection of adversarial images by the attributions of their cells (2103.07364, sec. 4.3; Yang et al., 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from bench_core.grid import grid_fault

from .coalitions.image_games import BaselineName, OutputName, baseline, image_game
from .coalitions.orders import context_sizes, distinct_contexts, orders_fault
from .coalitions.teams import shapley_values
from .shared.discrimination import auroc

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


def interquartile(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the interquartile range over players, [n, players] -> [n]."""
    low, high = np.quantile(phi, [0.25, 0.75], axis=1)
    return high - low  # type: ignore[no-any-return]


STATISTICS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = MappingProxyType(
    {"mean": lambda phi: phi.mean(1), "deviation": lambda phi: phi.std(1), "interquartile": interquartile}
)


@dataclass(frozen=True)
class ShapleyDetection:
    """How well multi-order Shapley values detect adversarial images, order by order.

    `phi^(m)(i) = E_{|S| = m}[v(S + i) - v(S)]` (eq. 5) is estimated for every cell i. The highest order n - 1 is the
    attribution of ML-LOO, `v(N) - v(N without i)`; it and the lowest order are exact from one context. A detector does
    not know the true class, so the game is about the predicted class.

    The score `auroc` is labelled by `order` and by `statistic`, a function of an image's n values: their `mean`, their
    standard `deviation`, or the `interquartile` range of ML-LOO. The row `phi` [n, orders, cells, 2] holds the values
    of the clean and the adversarial image.

    Attributes:
        grid: Cells per side.
        orders: Cells in a context (int), or shares of n - 1 (float).
        contexts: Contexts per cell and order.
        output: Value of the game: `log_prob`, `others`, `logit` or `margin`; see `image_games.OUTPUTS`.
        baseline: What absent cells show; see `image_games.baseline`.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
    contexts: Annotated[int, Ge(1)] = 4
    output: OutputName = "log_prob"
    baseline: BaselineName = "channel_mean"
    scores: ClassVar = ("auroc",)
    labels: ClassVar = ("order", "statistic")
    rows: ClassVar = ("phi",)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 1)

    @property
    def context_sizes(self) -> list[int]:
        return context_sizes(self.orders, self.grid**2 - 1)

    @property
    def forwards(self) -> float:
        """Forward passes per image, those of the predicted classes included."""
        single = sum(distinct_contexts(self.grid**2, 1, size) == 1 for size in self.context_sizes)
        return 2 * 2 * self.grid**2 * (single + self.contexts * (len(self.orders) - single)) + 2

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        games = []
        for images in (clean.images, adversarial):
            absent, predicted = baseline(self.baseline, images, data_mean), source(images).argmax(1)
            games.append(image_game(source, images, absent, self.grid, self.output, predicted))
        return {"phi": shapley_values(games, self.context_sizes, self.contexts, rng).mean.float()}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        phi = np.asarray(rows["phi"], np.float64)
        for index, order in enumerate(self.orders):
            for name, statistic in STATISTICS.items():
                clean, adversarial = (statistic(phi[:, index, :, image]) for image in (0, 1))
                yield auroc(clean, adversarial, {"order": f"{order}", "statistic": name})


METRIC = ShapleyDetection
EXAMPLES = [{"grid": 4, "orders": [0.0, 0.5, 1.0], "contexts": 2}]
