"""How many queries an attack needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from bench_core.statistics import bootstrap_means, mean, proportion
from bench_core.types import Score

from .shared.median import median

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.queries import Queries
    from bench_core.types import Rows
else:
    from bench_core.lazy import torch

DEFAULT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class QueryCount:
    """The number of the query that first fooled the network with an image inside the ball, as the host counts them.

    `success` is the share of images that were fooled within so many queries, at each number `at` below the limit and
    at the limit; the number is the label `queries`. `mean_within` is the mean over these images. `median` is over all
    images, with the interval of its order statistics; it is infinite where half of the images are not fooled within the
    limit. `mean` is over the images that are fooled, so that a weak attack may have a small one; `limited_mean` counts
    the limit for an image that is not.
    """

    at: Sequence[Annotated[int, Ge(1)]] = DEFAULT
    scores: ClassVar = ("success", "mean_within", "median", "mean", "limited_mean")
    labels: ClassVar = ("queries",)
    rows: ClassVar = ("fooled_at",)

    def observe(self, queries: Queries) -> Mapping[str, Tensor]:
        return {"fooled_at": queries.fooled_at, "limit": torch.full_like(queries.spent, queries.limit)}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        fooled_at, limits = rows["fooled_at"].astype(np.float64), rows["limit"].astype(np.float64)
        if not len(limits):
            return
        fooled = fooled_at > 0
        limit = int(limits.max())
        for number in sorted({*(number for number in self.at if number < limit), limit}):
            within = fooled & (fooled_at <= number)
            yield replace(proportion("success", within), labels={"queries": number})
            yield replace(mean_among("mean_within", fooled_at, within), labels={"queries": number})
        yield median("median", np.where(fooled, fooled_at, math.inf))
        yield mean("mean", fooled_at[fooled], images=fooled)
        yield mean("limited_mean", np.where(fooled, fooled_at, limits))


def mean_among(name: str, values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> Score:
    """Return the mean of the chosen values, with a 95% bootstrap interval over all images: which are chosen varies."""
    found = values[chosen]
    if not len(found):
        return Score(name, math.nan, math.nan, math.nan, 0, {}, found, chosen)
    with np.errstate(invalid="ignore"):
        means = bootstrap_means(np.where(chosen, values, 0.0)) / bootstrap_means(chosen.astype(np.float64))
    low, high = np.nanquantile(means, [0.025, 0.975])
    return Score(name, float(found.mean()), float(low), float(high), len(found), {}, found, chosen)


METRIC = QueryCount
