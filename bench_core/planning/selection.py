"""The frozen list of images that attacks get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..digests import digest
from ..errors import Fault, UsageError
from .resolve import ResolvedSuite


@dataclass(frozen=True)
class Selection:
    """Positions in the dataset, and the images' digests."""

    indices: tuple[int, ...]
    ids: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """The digest of the list."""
        return digest(list(self.ids))


def first_images(resolved: ResolvedSuite) -> Selection:
    """Return a selection of the right size, for the cost of a plan whose own selection is not known yet."""
    assert resolved.images is not None
    indices = tuple(range(min(resolved.count, len(resolved.images.ids))))
    return Selection(indices, tuple(resolved.images.ids[i] for i in indices))


def select(resolved: ResolvedSuite, predictions: Mapping[str, Sequence[int]]) -> Selection:
    """Select the first images, in the dataset's order, that the suite's rule admits.

    Args:
        resolved: The suite, with its images.
        predictions: The class that each model predicts for every image of the dataset, by the model's label.

    Raises:
        UsageError: if no image is left, or the list is not the one whose digest the suite pins.
    """
    assert resolved.images is not None
    suite, images = resolved.suite, resolved.images
    judges = suite.images.models or suite.all_models
    if suite.images.rule != "correct_by_all":
        judges = []
    correct = [
        index
        for index, label in enumerate(images.labels)
        if all(predictions[judge][index] == label for judge in judges)
    ]
    indices = tuple(correct[: resolved.count])
    selection = Selection(indices, tuple(images.ids[i] for i in indices))
    if not indices:
        reason = "no image is classified correctly by every model" if judges else "the dataset has no image to attack"
        raise UsageError(Fault(suite.file, "images.rule", reason))
    pinned = suite.images.digest
    if pinned and resolved.limit is None and selection.digest != pinned:
        message = f"found {pinned}, but the list has {selection.digest} (other images, networks or rule?)"
        raise UsageError(Fault(suite.file, "images.digest", message))
    return selection
