"""Detecting adversarial images by the attributions of their cells (arXiv:2103.07364, sec. 4.3; Yang et al., 2020)."""

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
from .coalitions.orders import distinct_contexts, orders_fault, shapley_values, whole_orders
from .separation import auroc

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score, Streams


def interquartile(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the distance between the quartiles over players, [n, players] -> [n]."""
    low, high = np.quantile(phi, [0.25, 0.75], axis=1)
    return high - low  # type: ignore[no-any-return]


STATISTICS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = MappingProxyType(
    {"mean": lambda phi: phi.mean(1), "deviation": lambda phi: phi.std(1), "interquartile": interquartile}
)


@dataclass(frozen=True)
class ShapleyDetection:
    """How well multi-order Shapley values tell adversarial from clean images, order by order.

    `phi^(m)(i) = E_{|S| = m}[v(S + i) - v(S)]` (eq. 5) of every cell i, from `contexts` contexts each; the highest
    order n - 1 is ML-LOO's attribution `v(N) - v(N without i)`, and like the lowest exact from one. A detector does not
    know the true class, so v is about the class that the image is taken for. An order is a number of cells, or a
    float that is a share of n - 1. The score `auroc` is labelled by `order` and by `statistic`, what is made of an
    image's n values: their `mean`, or how much they scatter, as `deviation` or as the `interquartile` range of ML-LOO.
    Rows: `phi` [n, orders, cells, 2], clean and adversarial.
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
        """Say why images of shape (c, h, w) will not do, if they will not."""
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 1)

    @property
    def whole(self) -> list[int]:
        return whole_orders(self.orders, self.grid**2 - 1)

    @property
    def forwards(self) -> float:
        single = sum(distinct_contexts(self.grid**2, 1, order) == 1 for order in self.whole)
        return 2 * 2 * self.grid**2 * (single + self.contexts * (len(self.orders) - single)) + 2

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        games = [
            image_game(
                source,
                images,
                baseline(self.baseline, images, data_mean),
                self.grid,
                self.output,
                source(images).argmax(1),
            )
            for images in (clean.images, adversarial)
        ]
        return {"phi": shapley_values(games, self.whole, self.contexts, rng).mean.float()}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        phi = np.asarray(rows["phi"], np.float64)
        for place, order in enumerate(self.orders):
            for statistic, reduced in STATISTICS.items():
                clean, adversarial = (reduced(phi[:, place, :, which]) for which in (0, 1))
                yield auroc(clean, adversarial, {"order": f"{order}", "statistic": statistic})
