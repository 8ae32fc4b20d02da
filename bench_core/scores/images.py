"""The images that a score's values are of, and the joining of several scores image by image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..statistics import bootstrap, bootstrap_means

Over = Literal["all", "selected"]


class Unpairable(Exception):
    """Scores cannot be joined image by image; the message is the reason in one line."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of a run: `indices` int [n] are positions in the run's list of attacked images, or in the dataset.

    `over` names the list that is indexed: "selected" for the attacked images, "all" for the dataset.
    """

    over: Over
    indices: NDArray[np.intp]

    @classmethod
    def of(cls, over: Over, indices: ArrayLike) -> ImageSet:
        return cls(over, np.asarray(indices, dtype=np.intp))

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImageSet):
            return NotImplemented
        return self.over == other.over and np.array_equal(self.indices, other.indices)

    def __hash__(self) -> int:
        return hash((self.over, self.indices.tobytes()))

    def take(self, rows: ArrayLike) -> ImageSet:
        """Return some of the images; `rows` is bool [n], or the positions of the rows to keep."""
        chosen = np.asarray(rows)
        return ImageSet(self.over, self.indices[chosen if len(chosen) else chosen.astype(np.intp)])


@dataclass(frozen=True)
class PerImage:
    """Values float [n], one for each of `images` [n], which are in ascending order. Built by `per_image`."""

    images: ImageSet
    values: NDArray[np.float64]

    @property
    def binary(self) -> bool:
        return bool(np.isin(self.values, (0, 1)).all())


def per_image(images: ImageSet, values: NDArray[Any]) -> PerImage:
    """Sort values by image. Raises Unpairable where an image has several values."""
    if np.all(images.indices[1:] > images.indices[:-1]):  # as almost always
        return PerImage(images, np.asarray(values, dtype=np.float64))
    order = np.argsort(images.indices, kind="stable")
    if len(np.unique(images.indices)) < len(order):
        raise Unpairable("an image has several values")
    return PerImage(images.take(order), np.asarray(values, dtype=np.float64)[order])


def joined(series: Sequence[PerImage]) -> NDArray[np.float64]:
    """Stack k series of the same n images as rows, [k, n]. Raises Unpairable where the images differ."""
    if not series:
        raise Unpairable("there are no values")
    first = series[0].images
    for other in series[1:]:
        if other.images != first:
            counts = f"{len(first)} and {len(other.images)}"
            raise Unpairable(f"the values are of different images ({counts})")
    return np.stack([column.values for column in series])


def mean_of(series: Sequence[PerImage]) -> PerImage:
    """Average k series image by image. Raises Unpairable where the images differ."""
    values: NDArray[np.float64] = np.mean(joined(series), axis=0)
    return PerImage(series[0].images, values)


def difference(first: PerImage, second: PerImage) -> PerImage:
    """Return first - second, image by image; NaN where both are infinite. Raises Unpairable where the images differ."""
    values = joined([first, second])
    with np.errstate(invalid="ignore"):
        return PerImage(first.images, values[0] - values[1])


def mean_interval(columns: Sequence[PerImage]) -> tuple[float, float]:
    """Compute the 95% bootstrap interval of the mean of several columns' means, resampling images.

    Columns over the same images are first averaged image by image. Otherwise, as under `correct_by_target`, where each
    target has images of its own, the union of the columns' images is resampled: every column's mean is computed from
    those of its images that were drawn, counted as often as they were drawn, and the column means are averaged. An
    image therefore has the same multiplicity in every column that contains it, which keeps the columns' correlation.
    Resamples without any image of some column are left out.

    Args:
        columns: The values of each column.

    Returns:
        The lower and upper end; NaN where a column has no image.

    Raises:
        Unpairable: Some columns are over the dataset and others over the attacked images.
    """
    if len({column.images for column in columns}) == 1:
        return bootstrap(mean_of(columns).values)
    if len({column.images.over for column in columns}) != 1:
        raise Unpairable("some values are over the whole dataset, others over the selected images")
    if any(len(column.images) == 0 for column in columns):
        return math.nan, math.nan
    union = np.unique(np.concatenate([column.images.indices for column in columns]))
    total = np.zeros(1)
    for column in columns:
        values, present = np.zeros(len(union)), np.zeros(len(union))
        positions = np.searchsorted(union, column.images.indices)
        values[positions], present[positions] = column.values, 1
        with np.errstate(invalid="ignore", divide="ignore"):
            total = total + bootstrap_means(values) / bootstrap_means(present)
    means = total / len(columns)
    means = means[np.isfinite(means)]
    if len(means) == 0:
        return math.nan, math.nan
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
