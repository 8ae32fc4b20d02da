"""Summarises rows as labelled scores with intervals. Pure arithmetic: no network, no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import raised
from ..reserved import EXAMINED, PREDICTED, RECORD, RECORD_SCORES
from ..statistics import mean, proportion
from ..types import Metric, Score
from .images import ImageSet
from .labels import NO_LABELS
from .only import Outcomes, with_outcomes
from .rows import RowSet
from .scored import EVERY, LabelledScore, void_score


def summarise(
    rows: Sequence[RowSet],
    metrics: Mapping[str, Metric],
    rule: str,
    selected: Sequence[int],
    truth: Sequence[int],
    only: Mapping[str, Sequence[str]] = NO_LABELS,
) -> list[LabelledScore]:
    """Summarise the rows of every metric.

    Args:
        rows: The rows of a run.
        metrics: The metrics, by their labels.
        rule: The suite's `images.rule`. Under `correct_by_target` a target is judged only on the attacked images that
            it classifies correctly.
        selected: The positions of the attacked images in the dataset, [n].
        truth: The classes of the attacked images, [n].
        only: The outcomes that an image must have to count, by the metric's label (see `Outcomes`).
    """
    correct = correct_by_target(rows, selected, truth) if rule == "correct_by_target" else {}
    outcomes, scores = Outcomes(rows), list[LabelledScore]()
    for every in rows:
        if every.metric in (PREDICTED, EXAMINED):
            continue
        wanted = tuple(dict.fromkeys(only.get(every.metric, ())))
        row = outcomes.restricted(every, wanted)
        if row.void:
            scores.append(replace(void_score(f"{row.metric}.{EVERY}", row.labels, row.void), only=wanted))
            continue
        arrays, images = row.arrays, row.images
        if row.labels.attack is not None and row.labels.target in correct:
            counted = correct[row.labels.target][images.indices]
            arrays, images = {name: array[counted] for name, array in arrays.items()}, images.take(counted)
        try:
            summarised = list(_record(arrays) if row.metric == RECORD else metrics[row.metric].summarise(arrays))
        except Exception as error:  # a plugin's mistake costs its own scores, not the tables of the run
            scores.append(replace(void_score(f"{row.metric}.{EVERY}", row.labels, raised(error)), only=wanted))
            continue
        scores += [_labelled(row, score, images, wanted) for score in summarised]
    return scores


def correct_by_target(
    rows: Sequence[RowSet], selected: Sequence[int], truth: Sequence[int]
) -> dict[str, NDArray[np.bool_]]:
    """Return which of the attacked images each target classifies correctly, bool [n]."""
    correct = {}
    for row in rows:
        if row.metric == PREDICTED and not row.void and row.labels.target is not None:
            places = {int(index): place for place, index in enumerate(row.images.indices)}
            predicted = row.arrays["predicted"][[places[index] for index in selected]]
            correct[row.labels.target] = predicted == np.asarray(truth)
    return correct


def _record(arrays: Mapping[str, NDArray[Any]]) -> Iterator[Score]:
    """Summarise what the host records of every attack."""
    known = with_outcomes(arrays)
    for name in RECORD_SCORES:
        if name in known:
            yield (proportion if known[name].dtype == bool else mean)(name, known[name])


def _labelled(row: RowSet, score: Score, images: ImageSet, only: tuple[str, ...]) -> LabelledScore:
    name = f"{row.metric}.{score.name}"
    try:
        labels = row.labels.adding(score.labels)
    except ValueError as error:
        return replace(void_score(name, row.labels, str(error)), only=only)
    return LabelledScore(name, labels, score, images=images_of(score, images), only=only)


def images_of(score: Score, images: ImageSet) -> ImageSet | None:
    """Return the images of a score's per-image values, given those of its rows; None where they are unknown."""
    if score.per_image is None:
        return None
    if score.images is not None:
        try:
            images = images.take(score.images)
        except IndexError:  # a plugin's mask of another length, or positions beyond its rows
            return None
    return images if len(images) == len(score.per_image) else None
