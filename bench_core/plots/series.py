"""Scores -> what plots show: points with intervals, grouped into panels and lines. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..scores.derived import picked
from ..scores.summarise import LabelledScore
from ..statistics import bootstrap
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
    for each in scores:
        groups.setdefault(key_of(each, dimensions), []).append(each)
    return {key: groups[key] for key in in_order(groups)}


def wanted(scores: Sequence[LabelledScore], value: str, where: Mapping[str, Any]) -> list[LabelledScore]:
    """Choose the scores that have a value; a plot has no place for a void."""
    return [each for each in picked(scores, value, where) if not each.void and not math.isnan(each.score.value)]


def numeric(label: object) -> float | None:
    """Read a label as a number, None where it is none."""
    try:
        return float(number(str(label)))
    except (TypeError, ValueError):
        return None


def point(scores: Sequence[LabelledScore], x: float) -> Point | None:
    """Make one point of one score, or of several: their mean over the black-box ones, the same images paired."""
    if len(scores) == 1:
        score = scores[0].score
        white = scores[0].labels.get("relation") == "white-box"
        return Point(x, score.value, score.low, score.high, score.n, white)
    black = [each.score for each in scores if each.labels.get("relation") != "white-box"]
    if not black:
        return None
    images = [each.per_image for each in black if each.per_image is not None]
    low = high = math.nan
    if len(images) == len(black) and len({len(each) for each in images}) == 1:
        low, high = bootstrap(np.mean(np.stack(images), axis=0))
    return Point(x, float(np.mean([each.value for each in black])), low, high, min(each.n for each in black))


def line(scores: Sequence[LabelledScore], x: str) -> list[Point]:
    """Make the points of one line, in the order of x, which every score has as a number."""
    places: dict[float, list[LabelledScore]] = {}
    for each in scores:
        places.setdefault(float(number(str(each.labels[x]))), []).append(each)
    made = [point(places[place], place) for place in sorted(places)]
    return [each for each in made if each is not None]


def counted(counts: Sequence[int], unit: str = "images") -> str:
    """Say N, a number or a range."""
    if not counts:
        return f"N = 0 {unit}"
    ends = dict.fromkeys((min(counts), max(counts)))
    return f"N = {' to '.join(map(str, ends))} {unit}"
