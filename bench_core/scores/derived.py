"""Scores that need several others: the worst of some attacks for each image, correlations over attacks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..statistics import mean, pearson, proportion, regression
from ..suite.model import Suite
from ..suite.outputs import CorrelationTable, WorstCaseTable
from ..types import Score
from .summarise import LabelledScore

Labels = tuple[tuple[str, Any], ...]


def derive(scores: Sequence[LabelledScore], suite: Suite) -> list[LabelledScore]:
    """Give the derived scores that a suite asks for. Worst cases are no points of a correlation."""
    own = {"attack", *suite.swept}
    made: list[LabelledScore] = []
    for label, worst in suite.worst_case.items():
        made += worst_case(scores, label, worst, list(suite.attacks), own)
    for label, table in suite.correlations.items():
        made += correlation(scores, label, table, own)
    return made


def picked(scores: Iterable[LabelledScore], value: str, where: Mapping[str, Any]) -> list[LabelledScore]:
    """Choose the scores of one name, voids of its metric included, under some labels."""
    return [
        each
        for each in scores
        if (each.metric == value or (each.void and each.metric == value.partition(".")[0]))
        and all(str(each.labels.get(name)) == str(wanted) for name, wanted in where.items())
    ]


def without(labels: Mapping[str, Any], left_out: Iterable[str]) -> Labels:
    """Give labels as a key, less some."""
    return tuple((name, value) for name, value in labels.items() if name not in set(left_out))


def worst_case(
    scores: Iterable[LabelledScore], label: str, table: WorstCaseTable, attacks: Sequence[str], own: Iterable[str]
) -> Iterator[LabelledScore]:
    """Take for each image the worst value that any of the attacks reached on it.

    Of success that is the share of images that at least one attack fools, which is never less than the best attack's
    share; of accuracy the share that none fools.
    Sources, targets and budgets under which not all of the attacks ran have no worst case.
    """
    wanted = table.attacks or attacks
    groups: dict[Labels, dict[str, LabelledScore]] = defaultdict(dict)
    for each in picked(scores, table.value, {}):
        groups[without(each.labels, own)][str(each.labels.get("attack"))] = each
    for key, by_attack in groups.items():
        if any(name not in by_attack for name in wanted):
            continue
        labels = {**dict(key), "attack": label}
        chosen = [by_attack[name] for name in wanted]
        void = next((each.void for each in chosen if each.void), None)
        values = [each.score.per_image for each in chosen if each.score.per_image is not None]
        if void or len(values) < len(chosen) or len({len(v) for v in values}) != 1:
            reason = void or "the scores are no means over the same images"
            yield LabelledScore(table.value, labels, Score("", math.nan, math.nan, math.nan, 0), reason)
            continue
        worst = (np.min if table.take == "min" else np.max)(np.stack(values), axis=0)
        made = proportion if np.isin(worst, (0, 1)).all() else mean
        yield LabelledScore(table.value, labels, made(table.value.partition(".")[2], worst))


def points(
    scores: Sequence[LabelledScore], table: CorrelationTable, own: Iterable[str]
) -> dict[Labels, list[tuple[LabelledScore, LabelledScore]]]:
    """Pair the scores of `x` and `y`, grouped by the labels of `y` less the attack's: one pair for every attack.

    What `x` is not told apart by (an interaction on the source knows no target) goes with every such `y`.
    """
    xs = picked(scores, table.x, {k: v for k, v in table.where.items() if k not in ("target", "relation")})
    groups: dict[Labels, list[tuple[LabelledScore, LabelledScore]]] = defaultdict(list)
    for y in picked(scores, table.y, table.where):
        fitting = [x for x in xs if all(y.labels.get(name) == value for name, value in x.labels.items())]
        if len(fitting) == 1:
            groups[without(y.labels, own)].append((fitting[0], y))
    return groups


def correlation(
    scores: Sequence[LabelledScore], label: str, table: CorrelationTable, own: Iterable[str]
) -> Iterator[LabelledScore]:
    """Give r with Fisher's interval and the slope of the regression, for each group of points."""
    for key, pairs in points(scores, table, own).items():
        void = next((each.void for pair in pairs for each in pair if each.void), None)
        if void:
            yield LabelledScore(label, dict(key), Score("", math.nan, math.nan, math.nan, 0), void, "points")
            continue
        x, y = ([each.score.value for each in side] for side in zip(*pairs, strict=True))
        r, low, high = pearson(x, y)
        yield LabelledScore(f"{label}.pearson", dict(key), Score("pearson", r, low, high, len(x)), None, "points")
        if math.isnan(r):
            continue
        line = regression(x, y)
        slope = Score("slope", line.slope, *line.slope_interval, len(x))
        yield LabelledScore(f"{label}.slope", dict(key), slope, None, "points")
