"""How much of the dataset a run classifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .resolve import ResolvedSuite

SMALL = 1000  # images of a dataset that is always classified as a whole


def is_small(resolved: ResolvedSuite) -> bool:
    """Return whether the dataset is so small that it is always classified as a whole."""
    assert resolved.images is not None
    return len(resolved.images.labels) <= SMALL


def classifies_all(resolved: ResolvedSuite) -> bool:
    """Return whether the run classifies the whole dataset: it is small, or a metric over all of it is asked for.

    A run with a limit is a trial, and computes no metric over a dataset that is not small.
    """
    return is_small(resolved) or (resolved.limit is None and bool(_over_all(resolved)))


def left_out(resolved: ResolvedSuite) -> list[str]:
    """Return a note if a run with a limit computes metrics on fewer images than the suite asks for."""
    over_all = _over_all(resolved)
    if resolved.images is None or classifies_all(resolved) or not over_all:
        return []
    total = len(resolved.images.labels)
    return [f"{', '.join(over_all)}: over the attacked images, not all {total:,}, because of --limit"]


def _over_all(resolved: ResolvedSuite) -> list[str]:
    return [use.label for use in resolved.uses if not use.needs_attack and use.over == "all"]
