"""Selects the images that are attacked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..digests import digest
from ..errors import Fault, UsageError
from .accuracy import cause_of_chance
from .dataset_share import is_small
from .resolve import ResolvedSuite

Classify = Callable[[str, Sequence[int]], Mapping[int, int] | None]  # model, images -> their classes; None if unknown
Shown = Mapping[str, tuple[Sequence[int], Sequence[int]]]  # model -> predicted and true classes of images


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
    if needs_no_predictions(resolved):
        known = len(resolved.images.labels)
    return [
        index
        for index, label in enumerate(resolved.images.labels[:known])
        if all(predictions[model][index] == label for model in models)
    ]


def count_classified(predictions: Mapping[str, Sequence[int]]) -> int:
    """Return the number of images that every model has classified."""
    return min(map(len, predictions.values()), default=0)


def needs_no_predictions(resolved: ResolvedSuite) -> bool:
    """Return whether no image is looked at first: the suite's rule admits every image.

    A small dataset is classified first all the same, so that the results of the first rounds have its clean scores.
    """
    assert resolved.images is not None
    return resolved.suite.images.rule == "all" and not is_small(resolved)


def look(resolved: ResolvedSuite, classify: Classify) -> list[int] | None:
    """Find the positions of the images to attack, showing to each network no image that the selection does not need.

    The selection has the first images that the suite's rule admits, so as many as are missing from it are looked at
    together. Each network sees those that all cheaper networks classify correctly.

    Args:
        resolved: The suite, with its images.
        classify: Returns the classes that a model predicts for some images; None if they are unknown.

    Returns:
        The positions; None if a prediction is unknown.
    """
    assert resolved.images is not None
    labels, order, found, seen = resolved.images.labels, cheapest_first(resolved), list[int](), 0
    while len(found) < resolved.count and seen < len(labels):
        left = list(range(seen, min(seen + resolved.count - len(found), len(labels))))
        seen += len(left)
        for model in order:
            predicted = classify(model, left) if left else {}
            if predicted is None:
                return None
            left = [index for index in left if predicted[index] == labels[index]]
        found += left
    return found


def cheapest_first(resolved: ResolvedSuite) -> list[str]:
    """Return the models that choose images by their cost; those of unknown cost last, in the suite's order."""
    costs = {model: resolved.costs.get(model) for model in resolved.suite.choosing_models}
    return sorted(costs, key=lambda model: math.inf if costs[model] is None else costs[model] or 0.0)


def suffices(resolved: ResolvedSuite, predictions: Mapping[str, Sequence[int]]) -> bool:
    """Return whether enough images are classified to select those to attack."""
    assert resolved.images is not None
    all_classified = count_classified(predictions) == len(resolved.images.labels)
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
    labels = resolved.images.labels
    shown = {model: (predictions[model], labels) for model in resolved.suite.choosing_models}
    return selection_of(resolved, admitted(resolved, predictions)[: resolved.count], shown)


def selection_of(resolved: ResolvedSuite, found: Sequence[int], shown: Shown) -> Selection:
    """Return the selection of some images, after the checks of `select`.

    Args:
        resolved: The suite, with its images.
        found: The positions of the images.
        shown: The predicted and the true classes of the images that each model was shown, for the error.
    """
    assert resolved.images is not None
    suite, images = resolved.suite, resolved.images
    selection = Selection(tuple(found), tuple(images.ids[i] for i in found))
    if not found:
        reason = "the dataset has no image to attack"
        if shown and len(images.labels):
            reason = _nothing_in_common(shown)
        raise UsageError(Fault(suite.file, "images.rule", reason))
    pinned = suite.images.digest
    if pinned and resolved.limit is None and selection.digest != pinned:
        message = f"found {pinned}, but the list has {selection.digest} (other images, networks or rule?)"
        raise UsageError(Fault(suite.file, "images.digest", message))
    return selection


def _nothing_in_common(shown: Shown) -> str:
    """Return why no image is classified correctly by every model: the accuracy of each, and what is wrong with it."""
    found, most = [], max(len(labels) for _, labels in shown.values())
    for model, (classes, labels) in shown.items():
        predicted, truth = np.asarray(classes), np.asarray(labels)
        cause = cause_of_chance(predicted, truth)
        fewer = f" of {len(truth)} that the others classify correctly" if len(truth) < most else ""
        found.append(f"{model} {np.mean(predicted == truth):.1%}{fewer}{f' ({cause})' if cause else ''}")
    return f"no image is classified correctly by every model: of {most} images, {', '.join(found)}"
