"""Scores derived from several others: the worst case over attacks image by image, and correlations over attacks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ..statistics import mean, pearson, proportion, regression
from ..suite.model import Suite
from ..suite.outputs import CorrelationEntry, WorstCaseEntry
from ..types import Score
from .images import Unpairable, joined
from .labels import Labels
from .scored import EVERY, LabelledScore, Scores, void_score

Pair = tuple[LabelledScore, LabelledScore]


def derive(scores: Scores, suite: Suite) -> list[LabelledScore]:
    """Return the derived scores that a suite asks for. Worst cases are not points of a correlation."""
    varying = {"attack", *suite.swept}
    made: list[LabelledScore] = []
    for label, worst in suite.worst_case.items():
        made += worst_case(scores, label, worst, list(suite.attacks), varying)
    for label, table in suite.correlations.items():
        made += correlation(scores, label, table, varying)
    return made


def worst_case(
    scores: Scores, label: str, table: WorstCaseEntry, attacks: Sequence[str], varying: Collection[str]
) -> Iterator[LabelledScore]:
    """Take for each image the worst value that any of the attacks reached on it.

    For success this is the share of images that at least one attack fools, which is never less than the best attack's
    share; for accuracy the share that none fools. Sources, targets and budgets under which not all of the attacks ran
    have no worst case. Attacks whose values are not of the same images have a void one.

    Args:
        scores: The scores of a run.
        label: The label of the derived attack.
        table: The suite's entry.
        attacks: The suite's attacks, used where the entry names none.
        varying: The labels that tell one attack from another.
    """
    wanted = table.attacks or attacks
    groups: dict[Labels, dict[str, LabelledScore]] = defaultdict(dict)
    for score in scores.select(table.value):
        groups[score.labels.without(varying)][str(score.labels.attack)] = score
    for key, by_attack in groups.items():
        if any(name not in by_attack for name in wanted):
            continue
        labels = Labels.of({**key, "attack": label})
        chosen = [by_attack[name] for name in wanted]
        void = next((score.void for score in chosen if score.void), None)
        if void:
            yield void_score(table.value, labels, void)
            continue
        try:
            series = [score.per_image for score in chosen]
            worst = (np.min if table.take == "min" else np.max)(joined(series), axis=0)
        except Unpairable as error:
            yield void_score(table.value, labels, f"the attacks cannot be paired: {error}")
            continue
        summary = proportion if np.isin(worst, (0, 1)).all() else mean
        made = summary(table.value.partition(".")[2], worst)
        yield LabelledScore(table.value, labels, made, images=series[0].images)


def points(scores: Scores, table: CorrelationEntry, varying: Collection[str]) -> dict[Labels, list[Pair]]:
    """Pair the scores of `x` and `y`, grouped by the labels of `y` without the attack's: one pair for each attack.

    A score of `x` with fewer labels (an interaction on the source has no target) is paired with every `y` that agrees
    on those that it has.
    """
    where = {name: value for name, value in table.where.items() if name not in ("target", "relation")}
    candidates = scores.select(table.x, where)
    groups: dict[Labels, list[Pair]] = defaultdict(list)
    for y in scores.select(table.y, table.where):
        fitting = [x for x in candidates if all(y.labels.get(name) == value for name, value in x.labels.items())]
        if len(fitting) == 1:
            groups[y.labels.without(varying)].append((fitting[0], y))
    return groups


def correlation(
    scores: Scores, label: str, table: CorrelationEntry, varying: Collection[str]
) -> Iterator[LabelledScore]:
    """Yield Pearson's r with Fisher's interval and the slope of the regression, for each group of points."""
    for labels, pairs in points(scores, table, varying).items():
        void = next((score.void for pair in pairs for score in pair if score.void), None) or _other_images(pairs)
        if void:
            yield void_score(f"{label}.{EVERY}", labels, void, "points")
            continue
        x, y = ([score.score.value for score in side] for side in zip(*pairs, strict=True))
        r, low, high = pearson(x, y)
        yield LabelledScore(f"{label}.pearson", labels, Score("pearson", r, low, high, len(x)), None, "points")
        if math.isnan(r):
            continue
        line = regression(x, y)
        slope = Score("slope", line.slope, *line.slope_interval, len(x))
        yield LabelledScore(f"{label}.slope", labels, slope, None, "points")


def _other_images(pairs: Sequence[Pair]) -> str | None:
    """Return why the points are not comparable: the attacks' values on one axis are of different images.

    The two axes may be of different images: under `correct_by_target` an interaction on the source is over all images
    and a target's score over its own, the same for every attack.
    """
    for axis in zip(*pairs, strict=True):
        known = [score for score in axis if score.images is not None]
        if any(score.images != known[0].images for score in known):
            return f"the attacks' values of {known[0].metric} are of different images"
    return None
