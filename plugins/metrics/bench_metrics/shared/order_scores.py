"""Rows and scores of the interactions of each order in clean and adversarial images, for cells and for regions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench_core.statistics import bootstrap_means, mean
from bench_core.types import Score

from ..coalitions.orders import Rounding, context_sizes
from .sampling_error import sampling_error

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Rows

    from ..coalitions.estimates import Estimate

PAIRS = 100  # per image and order, by default
IMAGES = ("clean", "adversarial")
SCORES = ("interaction", "change", "delta_j", "utility", "share", "sampling_error", "forwards")
LABELS = ("order", "images")
ROWS = ("interaction", "change")


def rows_of(estimate: Estimate) -> Mapping[str, Tensor]:
    """Return the rows of an estimate of two games, clean and adversarial."""
    change, error = estimate.contrast((1, -1))
    return {
        "interaction": estimate.mean,
        "error": estimate.error,
        "change": change,
        "change_error": error,
        "forwards": estimate.forwards,
    }


def scores_by_order(
    rows: Rows, orders: Sequence[int | float], players: int, rounding: Rounding = "nearest"
) -> Iterator[Score]:
    """Yield the scores of `rows_of` (arXiv:2103.07364, sec. 3).

    Args:
        rows: Rows of all images.
        orders: Players in a context (int), or shares of players - 2 (float).
        players: Number n of players.
        rounding: How shares are rounded.

    Yields:
        Scores named in `SCORES`, labelled by `order`: `interaction`, `I^(m)`, labelled by `images` as well; `change`,
        `Delta I^(m)`, clean less adversarial; `delta_j`, `Delta J^(m)`; `utility`, that of all pairs together,
        `n (n - 1) Delta J^(m)`; `share`, `|Delta I^(m)|` as a share of its sum over the orders; `sampling_error`, the
        standard error of `change` due to sampling. `forwards`, without labels, are the forward passes per image.
    """
    interaction, change = np.asarray(rows["interaction"], np.float64), np.asarray(rows["change"], np.float64)
    for index, (order, m) in enumerate(zip(orders, context_sizes(orders, players - 2, rounding), strict=True)):
        for column, images in enumerate(IMAGES):
            labels = {"order": f"{order}", "images": images}
            yield mean("interaction", interaction[:, index, column], labels)
        by_order = {"order": f"{order}"}
        yield mean("change", change[:, index], by_order)
        yield mean("delta_j", (players - 1 - m) / (players * (players - 1)) * change[:, index], by_order)
        yield mean("utility", (players - 1 - m) * change[:, index], by_order)
        yield _share(change, index, by_order)
        yield replace(sampling_error(rows["change_error"][:, index]), labels=by_order)
    yield mean("forwards", rows["forwards"])


def _share(change: NDArray[np.float64], index: int, labels: Mapping[str, str]) -> Score:
    """Build the score `|Delta I^(m)| / sum_m' |Delta I^(m')|` of means over images, its interval a bootstrap.

    It is undefined where no order changes, and draws of images without any change do not count.
    """
    sizes = np.abs(change.mean(0))
    drawn = np.abs(np.stack([bootstrap_means(values) for values in change.T], axis=1))
    if not sizes.any():
        return Score("share", math.nan, math.nan, math.nan, 0, labels)
    changed = drawn[drawn.any(1)]
    low, high = np.quantile(changed[:, index] / changed.sum(1), [0.025, 0.975])
    return Score("share", float(sizes[index] / sizes.sum()), float(low), float(high), len(change), labels)
