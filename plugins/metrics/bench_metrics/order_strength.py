"""How the change of interactions grows with the iterations of an attack: table 3 of arXiv:2103.07364."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from bench_core.statistics import bootstrap_means, mean
from bench_core.types import Score

from .coalitions.image_games import BaselineName
from .coalitions.orders import Rounding
from .coalitions.pairs import Among
from .order_interaction import OrderInteraction

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Step, Streams
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class OrderStrength:
    """`Delta I^(m)` after some numbers of iterations of an attack, and its correlation with them.

    The images after k steps of an attack without a schedule are those of an attack of k steps. An image has the same
    pairs and contexts at every step. Scores: `change`, labelled by `order` and `iterations`; `pearson`, labelled by
    `order`, its interval a bootstrap over images. Iterations beyond the budget's steps have no score; with fewer than
    two left there is no correlation.

    Attributes:
        grid: Cells per side.
        orders: Cells in a context (int), or shares of grid^2 - 2 (float).
        iterations: Steps after which to measure, counted from 1.
        pairs: Random pairs of cells per image and order, with one context each.
        among: Draw from `all` pairs of cells or only from `neighbours`.
        baseline: What absent cells show; see `image_games.baseline`.
        rounding: How a share of the cells becomes a number: to the `nearest`, or `down` as in the authors' code.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = (0.7, 0.8, 0.85, 0.9, 0.95)
    iterations: tuple[Annotated[int, Gt(0)], ...] = (4, 8, 16, 32)
    pairs: Annotated[int, Ge(2)] = 100
    among: Among = "all"
    baseline: BaselineName = "channel_mean"
    rounding: Rounding = "nearest"
    scores: ClassVar = ("change", "pearson")
    labels: ClassVar = ("order", "iterations")
    rows: ClassVar = ()

    @property
    def at_one_step(self) -> OrderInteraction:
        """The metric that is computed after each of the iterations."""
        return OrderInteraction(
            self.grid, self.orders, self.pairs, among=self.among, baseline=self.baseline, rounding=self.rounding
        )

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        if len(set(self.iterations)) < max(2, len(self.iterations)):
            return f"iterations: found {list(self.iterations)} (try two or more different numbers)"
        return self.at_one_step.check(shape)

    @property
    def forwards(self) -> float:
        """Forward passes per image and iteration."""
        return self.at_one_step.forwards

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps at which rows are not NaN."""
        return self.iterations

    def observe(
        self, clean: Examples, step: Step, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        if step.index not in self.iterations:
            return {"change": torch.full((len(clean.images), len(self.orders)), torch.nan, dtype=torch.float64)}
        return {"change": self.at_one_step.observe(clean, step.images, source, rng, data_mean)["change"]}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        change = np.asarray(rows["change"], np.float64)
        reached = [k for k in self.iterations if k <= change.shape[1]]
        for index, order in enumerate(self.orders):
            changes = [change[:, k - 1, index] for k in reached]
            for k, values in zip(reached, changes, strict=True):
                yield mean("change", values, {"order": f"{order}", "iterations": k})
            if len(reached) > 1:
                yield _pearson(reached, changes, {"order": f"{order}"})


def _pearson(iterations: list[int], changes: list[NDArray[np.float64]], labels: Mapping[str, Any]) -> Score:
    """Build the score of the correlation of the iterations with the means over images of their changes."""
    x = np.array(iterations, np.float64)
    drawn = np.stack([np.append(bootstrap_means(values), values.mean()) for values in changes], axis=1)
    x, drawn = x - x.mean(), drawn - drawn.mean(1, keepdims=True)
    r = drawn @ x / np.sqrt((x @ x) * (drawn**2).sum(1))
    # a resample without any change has no correlation
    low, high = np.nanquantile(r[:-1], [0.025, 0.975])
    return Score("pearson", float(r[-1]), float(low), float(high), len(changes[0]), labels)


METRIC = OrderStrength
EXAMPLES = [{"grid": 4, "orders": [0.5], "iterations": [1, 3], "pairs": 3}]
