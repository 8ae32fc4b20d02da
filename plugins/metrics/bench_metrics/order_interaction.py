"""What an attack changes, order by order: figures 3, 4, 7, 9 and tables 2, 3 of arXiv:2103.07364."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from bench_core.grid import grid_fault
from bench_core.statistics import bootstrap_means, mean
from bench_core.types import Score

from .coalitions.image_games import BaselineName, ClassName, OutputName, baseline, image_game, watched_classes
from .coalitions.orders import Effort, mean_interaction, orders_fault, whole_orders
from .interaction import Among, pairs_among, sampling_error

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Streams

    from .coalitions.estimates import Estimate

ORDERS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)  # those of table 2
PAIRS = 100  # of each image and order, if nothing else is asked for
IMAGES = ("clean", "adversarial")


@dataclass(frozen=True)
class OrderInteraction:
    """Interactions of each order in clean and adversarial images, and what of the attack's effect each order carries.

    An order is the number of cells of the context: an integer, or a float that is a share of grid^2 - 2. For each
    image and order `pairs` random pairs of cells, of `all` or of `neighbours` alone, get `contexts` contexts each, the
    same in the clean and in the adversarial image; or as many pairs as `forwards_each` pays for; or fewer, where the
    standard error has come down to `error`. Scores, labelled by `order`: `interaction`, `I^(m)`, labelled by `images`
    as well; `change`, `Delta I^(m)`, clean less adversarial; `delta_j`, `Delta J^(m)`, and `utility`, that of all pairs
    together, `n (n - 1) Delta J^(m)`, in the unit of the output; `share`, `|Delta I^(m)|` of its sum over the orders
    given; `sampling_error`, the standard error that sampling leaves in `change`. `forwards` are the passes of an image.
    """

    grid: Annotated[int, Ge(2)] = 16
    orders: tuple[int | float, ...] = ORDERS
    pairs: Annotated[int, Ge(2)] | None = None
    forwards_each: Annotated[int, Ge(1)] | None = None
    error: Annotated[float, Ge(0)] = 0.0
    contexts: Annotated[int, Ge(1)] = 1
    among: Among = "all"
    output: OutputName = "log_prob"
    of: ClassName = "true"
    baseline: BaselineName = "channel_mean"
    scores: ClassVar = ("interaction", "change", "delta_j", "utility", "share", "sampling_error", "forwards")
    labels: ClassVar = ("order", "images")
    rows: ClassVar = ("interaction", "change")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        if self.pairs and self.forwards_each:
            return f"forwards_each: found {self.forwards_each} beside pairs = {self.pairs} (would do: one of the two)"
        if self.forwards_each and self.forwards_each < 2 * 4 * 2 * self.contexts:
            return f"forwards_each: found {self.forwards_each} (would do: {16 * self.contexts}, for two pairs, or more)"
        return grid_fault(self.grid, shape) or orders_fault(self.orders, self.grid**2 - 2)

    @property
    def effort(self) -> Effort:
        if self.forwards_each:
            return Effort.of_forwards(self.forwards_each, len(IMAGES), self.contexts, self.error)
        return Effort(self.pairs or PAIRS, self.contexts, self.error)

    @property
    def forwards(self) -> float:
        return len(IMAGES) * 4 * self.effort.draws * self.contexts * len(self.orders)

    @property
    def whole(self) -> list[int]:
        return whole_orders(self.orders, self.grid**2 - 2)

    def observe(
        self, clean: Examples, adversarial: Tensor, source: Model, rng: Streams, data_mean: Tensor
    ) -> Mapping[str, Tensor]:
        classes = watched_classes(self.of, clean, adversarial, source)
        games = [
            image_game(source, images, baseline(self.baseline, images, data_mean), self.grid, self.output, classes)
            for images in (clean.images, adversarial)
        ]
        pairs = pairs_among(self.among, self.grid)
        return rows_of(mean_interaction(games, self.whole, self.effort, rng, pairs))

    def summarise(self, rows: Rows) -> Iterator[Score]:
        return scores_by_order(rows, self.orders, self.grid**2)


def rows_of(found: Estimate) -> Mapping[str, Tensor]:
    """Give the rows of an estimate of two games, clean and adversarial."""
    change, error = found.contrast((1, -1))
    return {
        "interaction": found.mean,
        "error": found.error,
        "change": change,
        "change_error": error,
        "forwards": found.forwards,
    }


def scores_by_order(rows: Rows, orders: Sequence[int | float], players: int) -> Iterator[Score]:
    """Give the scores of `rows_of`, in games of so many players."""
    interaction, change = np.asarray(rows["interaction"], np.float64), np.asarray(rows["change"], np.float64)
    for place, (order, m) in enumerate(zip(orders, whole_orders(orders, players - 2), strict=True)):
        for which, images in enumerate(IMAGES):
            labels = {"order": f"{order}", "images": images}
            yield mean("interaction", interaction[:, place, which], labels)
        by_order = {"order": f"{order}"}
        yield mean("change", change[:, place], by_order)
        yield mean("delta_j", (players - 1 - m) / (players * (players - 1)) * change[:, place], by_order)
        yield mean("utility", (players - 1 - m) * change[:, place], by_order)
        yield _share(change, place, by_order)
        yield replace(sampling_error(rows["change_error"][:, place]), labels=by_order)
    yield mean("forwards", rows["forwards"])


def _share(change: NDArray[np.float64], place: int, labels: Mapping[str, str]) -> Score:
    """Make the score of `|Delta I^(m)| / sum_m' |Delta I^(m')|` of the means over images, resampled over images."""
    found = np.abs(change.mean(0))
    drawn = np.abs(np.stack([bootstrap_means(each) for each in change.T], axis=1))
    low, high = np.quantile(drawn[:, place] / drawn.sum(1), [0.025, 0.975])
    return Score("share", float(found[place] / found.sum()), float(low), float(high), len(change), labels)
