"""Selects the images that are attacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..digests import digest
from ..errors import Fault, UsageError
from .accuracy import cause_of_chance
from .resolve import ResolvedSuite


@dataclass(frozen=True)
class Selection:
    """The selected images: their positions in the dataset, and their digests."""

    indices: tuple[int, ...]
    ids: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """The digest of the list."""
        return digest(list(self.ids))

    def first(self, count: int) -> Selection:
        """Return the selection of the first images."""
        return Selection(self.indices[:count], self.ids[:count])


def first_images(resolved: ResolvedSuite) -> Selection:
    """Return a selection of the expected size, to estimate costs before the predictions that select are known."""
    assert resolved.images is not None
    indices = tuple(range(min(resolved.count, len(resolved.images.ids))))
    return Selection(indices, tuple(resolved.images.ids[i] for i in indices))


def admitted(resolved: ResolvedSuite, predictions: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the positions of the classified images that the suite's rule admits, in the dataset's order.

    Args:
        resolved: The suite, with its images.
        predictions: The class that each model predicts for the first images of the dataset, by the model's label.
    """
    assert resolved.images is not None
    models, known = resolved.suite.choosing_models, count_classified(predictions)
    return [
        index
        for index, label in enumerate(resolved.images.labels[:known])
        if all(predictions[model][index] == label for model in models)
    ]


def count_classified(predictions: Mapping[str, Sequence[int]]) -> int:
    """Return the number of images that every model has classified."""
    return min(map(len, predictions.values()), default=0)


def suffices(resolved: ResolvedSuite, predictions: Mapping[str, Sequence[int]]) -> bool:
    """Return whether enough images are classified to select those to attack."""
    assert resolved.images is not None
    all_classified = count_classified(predictions) == len(resolved.images.ids)
    return all_classified or len(admitted(resolved, predictions)) >= resolved.count


def select(resolved: ResolvedSuite, predictions: Mapping[str, Sequence[int]]) -> Selection:
    """Select the first images, in the dataset's order, that the suite's rule admits.

    The predictions may be of the first images only, if they suffice (see `suffices`): the selection is the same.

    Args:
        resolved: The suite, with its images.
        predictions: The class that each model predicts for the first images of the dataset, by the model's label.

    Raises:
        UsageError: if no image is admitted, or the list has another digest than the one that the suite pins.
    """
    assert resolved.images is not None
    suite, images = resolved.suite, resolved.images
    models = suite.choosing_models
    indices = tuple(admitted(resolved, predictions)[: resolved.count])
    selection = Selection(indices, tuple(images.ids[i] for i in indices))
    if not indices:
        reason = "the dataset has no image to attack"
        if models and len(images.labels):
            reason = _nothing_in_common(models, predictions, images.labels)
        raise UsageError(Fault(suite.file, "images.rule", reason))
    pinned = suite.images.digest
    if pinned and resolved.limit is None and selection.digest != pinned:
        message = f"found {pinned}, but the list has {selection.digest} (other images, networks or rule?)"
        raise UsageError(Fault(suite.file, "images.digest", message))
    return selection


def _nothing_in_common(models: Sequence[str], predictions: Mapping[str, Sequence[int]], labels: Sequence[int]) -> str:
    """Return why no image is classified correctly by every model: the accuracy of each, and what is wrong with it."""
    truth = np.asarray(labels)
    found = []
    for model in models:
        predicted = np.asarray(predictions[model])
        cause = cause_of_chance(predicted, truth)
        found.append(f"{model} {np.mean(predicted == truth):.1%}{f' ({cause})' if cause else ''}")
    return f"no image is classified correctly by every model: of {len(truth)} images, {', '.join(found)}"
