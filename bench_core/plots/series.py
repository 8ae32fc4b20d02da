"""Scores as points with intervals, grouped into panels and lines, and texts about them. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import one_line
from ..scores.images import Unpairable, mean_interval
from ..scores.scored import LabelledScore, Scores
from ..suite.fields import number
from ..tables.arrange import in_order

Key = tuple[str, ...]
NO_BASELINE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Point:
    """A point of a line.

    Attributes:
        x: Its place on the horizontal axis.
        value: The value.
        low: The lower end of its 95% interval.
        high: The upper end.
        n: The number of images.
        white_box: Whether it is a white-box score.
    """

    x: float
    value: float
    low: float
    high: float
    n: int
    white_box: bool = False


def key_of(score: LabelledScore, dimensions: Sequence[str]) -> Key:
    """Return a score's labels in the given dimensions, "" where it has none."""
    return tuple(str(score.labels.get(name, "")) for name in dimensions)


def grouped(scores: Sequence[LabelledScore], dimensions: Sequence[str]) -> dict[Key, list[LabelledScore]]:
    """Group scores by their labels in the given dimensions, in the order in which each label first appears."""
    groups: dict[Key, list[LabelledScore]] = {}
    for score in scores:
        groups.setdefault(key_of(score, dimensions), []).append(score)
    return {key: groups[key] for key in in_order(groups)}


def drawable(scores: Scores, value: str, where: Mapping[str, Any]) -> list[LabelledScore]:
    """Return the scores that can be drawn.

    Args:
        scores: The scores of a run.
        value: The name of the score.
        where: The labels that the scores must have.

    Returns:
        The scores that are not void and not NaN.

    Raises:
        ValueError: No score has these labels, not even a void one.
    """
    named = scores.select(value)
    if named and not scores.select(value, where):
        raise ValueError(f"no score {value} has {_labels_text(where)}{_found_text(named, where)}")
    return [score for score in scores.select(value, where).valid() if not math.isnan(score.score.value)]


def _labels_text(where: Mapping[str, Any]) -> str:
    return " and ".join(f"{name} = {one_line(str(label))}" for name, label in where.items())


def _found_text(scores: Sequence[LabelledScore], where: Mapping[str, Any]) -> str:
    """Return the labels that there are, for the first name of which no score has the wanted label; "" if all have."""
    for name, label in where.items():
        known = list(dict.fromkeys(one_line(str(score.labels[name])) for score in scores if name in score.labels))
        if str(label) not in known:
            return f" (found {name} = {', '.join(known)})" if known else f" (they have no {name})"
    return ""


def numeric(label: object) -> float | None:
    """Return a label as a number, or None if it is not one."""
    try:
        return float(number(str(label)))
    except (TypeError, ValueError):
        return None


def averaged(scores: Sequence[LabelledScore]) -> Sequence[LabelledScore]:
    """Return the scores that a point averages: a single one, whichever it is, or the black-box ones of several."""
    return scores if len(scores) == 1 else Scores(scores).black_box()


def point(scores: Sequence[LabelledScore], x: float) -> Point | None:
    """Return the point of one score, or of the mean of several.

    Args:
        scores: One score or several.
        x: Its place on the horizontal axis.

    Returns:
        The point. A mean is over the black-box scores only; None if there are none.
    """
    if len(scores) == 1:
        score = scores[0].score
        return Point(x, score.value, score.low, score.high, score.n, scores[0].white_box)
    black_box = averaged(scores)
    if not black_box:
        return None
    try:
        low, high = mean_interval([score.per_image for score in black_box])
    except Unpairable:
        low = high = math.nan
    value = float(np.mean([score.score.value for score in black_box]))
    return Point(x, value, low, high, min(score.score.n for score in black_box))


def line(scores: Sequence[LabelledScore], x: str) -> list[Point]:
    """Return the points of one line, in the order of `x`, a label that is a number in every score."""
    by_x: dict[float, list[LabelledScore]] = {}
    for score in scores:
        by_x.setdefault(float(number(str(score.labels[x]))), []).append(score)
    points = [point(by_x[place], place) for place in sorted(by_x)]
    return [drawn for drawn in points if drawn is not None]


def value_axis(label: str, format: str, baseline: Mapping[str, Any] = NO_BASELINE) -> str:
    """Return the text of an axis of values.

    Args:
        label: The name of the value.
        format: "percent" for shares of images, which are drawn in percent.
        baseline: The labels of the baseline if the values are differences from it.

    Returns:
        The name, with the unit of shares. Other units are part of the label.
    """
    if baseline:
        unit = " (percentage points)" if format == "percent" else ""
        return f"{label}, difference from {baseline_text(baseline)}{unit}"
    return f"{label} (% of images)" if format == "percent" else label


def baseline_text(baseline: Mapping[str, Any]) -> str:
    """Return the labels of a baseline as text."""
    return " ".join(one_line(str(label)) for label in baseline.values())


def difference_note(baseline: Mapping[str, Any]) -> str:
    """Return the note of a plot of differences; "" if there is no baseline."""
    return f"differences paired by image; zero: {baseline_text(baseline)}" if baseline else ""


def mean_note(mean_over: Sequence[str]) -> str:
    """Return the note of what a plot averages over; "" if it does not."""
    return f"mean over the black-box {' and '.join(f'{name}s' for name in mean_over)}" if mean_over else ""


def count_text(counts: Sequence[int], unit: str = "images") -> str:
    """Return "N = " and a number, or the range of several, with its unit."""
    if not counts:
        return f"N = 0 {unit}"
    ends = dict.fromkeys((min(counts), max(counts)))
    return f"N = {' to '.join(map(str, ends))} {unit}"
