"""Which images values are of, and how values of several scores are joined image by image."""

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
    """Images of a run. `indices` int [n] are places in the run's frozen selection, or in the whole dataset (`all`)."""

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
        """Return some of the images; `rows` is bool [n], or the places of the rows to keep."""
        chosen = np.asarray(rows)
        return ImageSet(self.over, self.indices[chosen if len(chosen) else chosen.astype(np.intp)])


@dataclass(frozen=True)
class PerImage:
    """A value [n] for each of some images [n], which are in ascending order. `per_image` builds one."""

    images: ImageSet
    values: NDArray[np.float64]

    @property
    def binary(self) -> bool:
        return bool(np.isin(self.values, (0, 1)).all())


def per_image(images: ImageSet, values: NDArray[Any]) -> PerImage:
    """Sort values by image. Raises Unpairable where an image has several values."""
    order = np.argsort(images.indices, kind="stable")
    if len(np.unique(images.indices)) < len(order):
        raise Unpairable("an image has several values")
    return PerImage(images.take(order), np.asarray(values, dtype=np.float64)[order])


def joined(series: Sequence[PerImage]) -> NDArray[np.float64]:
    """Stack values image by image, [k, n]. Raises Unpairable where they are not of the same images."""
    if not series:
        raise Unpairable("there are no values")
    first = series[0].images
    for other in series[1:]:
        if other.images != first:
            counts = f"{len(first)} and {len(other.images)}"
            raise Unpairable(f"the values are of different images ({counts})")
    return np.stack([one.values for one in series])


def mean_of(series: Sequence[PerImage]) -> PerImage:
    """Average several values of each image. Raises Unpairable where they are not of the same images."""
    values: NDArray[np.float64] = np.mean(joined(series), axis=0)
    return PerImage(series[0].images, values)


def difference(one: PerImage, other: PerImage) -> PerImage:
    """Subtract image by image. Raises Unpairable where the two are not of the same images."""
    first, second = joined([one, other])
    return PerImage(one.images, first - second)


def mean_interval(columns: Sequence[PerImage]) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the mean of several columns' means, all columns resampled together.

    Columns over the same images are averaged image by image, and the images are resampled. Under a rule by which each
    target has images of its own, the union of the columns' images is resampled: in each resample every column's mean
    is computed from those of its images that were drawn, as often as they were drawn, and the column means are
    averaged. An image thus enters every column that has it with the same weight, and never stands for another image.
    Resamples that draw no image of some column are left out.

    Raises Unpairable where some columns are over the dataset and others over the selection.
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
        places = np.searchsorted(union, column.images.indices)
        values[places], present[places] = column.values, 1
        with np.errstate(invalid="ignore", divide="ignore"):
            total = total + bootstrap_means(values) / bootstrap_means(present)
    means = total / len(columns)
    means = means[np.isfinite(means)]
    if len(means) == 0:
        return math.nan, math.nan
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
