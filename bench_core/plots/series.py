"""Scores as points with intervals, grouped into panels and lines. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..scores.images import Unpairable, mean_interval
from ..scores.scored import LabelledScore, Scores
from ..suite.fields import number
from ..tables.pivot import in_order

Key = tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """A value with its 95% interval, from n images."""

    x: float
    value: float
    low: float
    high: float
    n: int
    white_box: bool = False


def key_of(score: LabelledScore, dimensions: Sequence[str]) -> Key:
    return tuple(str(score.labels.get(name, "")) for name in dimensions)


def grouped(scores: Sequence[LabelledScore], dimensions: Sequence[str]) -> dict[Key, list[LabelledScore]]:
    """Group scores by some labels, in the order of first appearance of each label."""
    groups: dict[Key, list[LabelledScore]] = {}
    for score in scores:
        groups.setdefault(key_of(score, dimensions), []).append(score)
    return {key: groups[key] for key in in_order(groups)}


def wanted(scores: Scores, value: str, where: Mapping[str, Any]) -> list[LabelledScore]:
    """Return the scores to draw: those with a value."""
    return [score for score in scores.select(value, where).valid() if not math.isnan(score.score.value)]


def numeric(label: object) -> float | None:
    """Return a label as a number, None where it is not one."""
    try:
        return float(number(str(label)))
    except (TypeError, ValueError):
        return None


def point(scores: Sequence[LabelledScore], x: float) -> Point | None:
    """Return the point of one score, or of the mean of several over the black-box ones; None where there are none."""
    if len(scores) == 1:
        score = scores[0].score
        return Point(x, score.value, score.low, score.high, score.n, scores[0].white_box)
    counted = Scores(scores).black_box()
    if not counted:
        return None
    try:
        low, high = mean_interval([score.per_image for score in counted])
    except Unpairable:
        low = high = math.nan
    value = float(np.mean([score.score.value for score in counted]))
    return Point(x, value, low, high, min(score.score.n for score in counted))


def line(scores: Sequence[LabelledScore], x: str) -> list[Point]:
    """Return the points of one line, in the order of x; the label `x` of every score is a number."""
    places: dict[float, list[LabelledScore]] = {}
    for score in scores:
        places.setdefault(float(number(str(score.labels[x]))), []).append(score)
    made = [point(places[place], place) for place in sorted(places)]
    return [found for found in made if found is not None]


def counted(counts: Sequence[int], unit: str = "images") -> str:
    """Return "N = ...", a number or a range."""
    if not counts:
        return f"N = 0 {unit}"
    ends = dict.fromkeys((min(counts), max(counts)))
    return f"N = {' to '.join(map(str, ends))} {unit}"
