"""Scores derived from other scores: the worst case over attacks, image by image, and correlations over attacks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..statistics import mean, pearson, proportion, regression
from ..suite.model import Suite
from ..suite.outputs import CorrelationEntry, WorstCaseEntry
from ..types import Score
from .curves import security_curve
from .images import Unpairable, joined
from .labels import Labels
from .optimality import optimality
from .rows import RowSet
from .scored import EVERY, LabelledScore, Scores, void_score

Pair = tuple[LabelledScore, LabelledScore]


def derive(
    scores: Scores, suite: Suite, rows: Sequence[RowSet] = (), elsewhere: Sequence[RowSet] = ()
) -> list[LabelledScore]:
    """Return the derived scores that a suite asks for. Worst cases are not points of a correlation, but have curves.

    Args:
        scores: The scores of a run.
        suite: The suite.
        rows: The rows of the run, of which optimality is computed.
        elsewhere: The distances that other runs reached, where optimality counts them.
    """
    varying = {"attack", *suite.attack_labels}
    made: list[LabelledScore] = []
    for label, entry in suite.worst_case.items():
        made += worst_case(scores, label, entry, attacks_by_budget(suite), varying)
    with_worst = Scores([*scores, *made])
    for label, curve in suite.security_curves.items():
        made += security_curve(with_worst, label, curve)
    for label, optimal in suite.optimality.items():
        made += optimality(rows, label, optimal, suite, labels_of_attacks(suite), elsewhere)
    for label, correlated in suite.correlations.items():
        made += correlation(scores, label, correlated, varying)
    return made


def attacks_by_budget(suite: Suite) -> dict[str, list[str]]:
    """Return the attacks that each budget is used for."""
    return {
        label: [attack for attack in suite.attacks if budget.attacks is None or attack in budget.attacks]
        for label, budget in suite.budgets.items()
    }


def labels_of_attacks(suite: Suite) -> set[str]:
    """Return the labels in which the attacks on one network and norm differ."""
    return {"attack", *suite.attack_labels, "budget", *suite.swept_by_budgets}


def worst_case(
    scores: Scores,
    label: str,
    entry: WorstCaseEntry,
    attacks: Mapping[str, Sequence[str]],
    varying: Collection[str],
) -> Iterator[LabelledScore]:
    """Yield the mean, over images, of the worst value that any of the attacks reached on each image.

    For success this is the share of images that at least one attack fools, which is never less than the best attack's
    share; for accuracy it is the share of images that no attack fools. There is no worst case for a source, target and
    budget under which not all of the entry's attacks ran. It is void where the attacks' values are not of the same
    images.

    Args:
        scores: The scores of a run.
        label: The label of the derived attack.
        entry: The suite's entry.
        attacks: The attacks that each budget is used for, which count where the entry names none.
        varying: The labels in which the attacks differ: `attack`, the category, and the swept options.
    """
    groups: dict[Labels, dict[str, LabelledScore]] = defaultdict(dict)
    for score in scores.select(entry.value):
        groups[score.labels.without(varying)][str(score.labels.attack)] = score
    for key, by_attack in groups.items():
        wanted = entry.attacks or attacks.get(str(key.get("budget")), ())
        if not wanted or any(name not in by_attack for name in wanted):
            continue
        labels = Labels.of({**key, "attack": label})
        chosen = [by_attack[name] for name in wanted]
        void = next((score.void for score in chosen if score.void), None)
        if void:
            yield replace(void_score(entry.value, labels, void), only=chosen[0].only)
            continue
        try:
            series = [score.per_image for score in chosen]
            worst = (np.min if entry.take == "min" else np.max)(joined(series), axis=0)
        except Unpairable as error:
            reason = f"the attacks cannot be paired: {error}"
            yield replace(void_score(entry.value, labels, reason), only=chosen[0].only)
            continue
        summary = proportion if np.isin(worst, (0, 1)).all() else mean
        made = summary(entry.value.partition(".")[2], worst)
        yield LabelledScore(entry.value, labels, made, images=series[0].images, only=chosen[0].only)


def points(scores: Scores, entry: CorrelationEntry, varying: Collection[str]) -> dict[Labels, list[Pair]]:
    """Return the points of a correlation: a pair of scores (x, y) for each attack, grouped by the other labels of `y`.

    A score of `x` may have fewer labels than its `y`: an interaction on the source has no target. It is paired with
    every `y` that has the same values of its labels. A `y` with no such `x`, or with several, is left out.
    """
    where = {name: value for name, value in entry.where.items() if name not in ("target", "relation")}
    candidates = scores.select(entry.x, where)
    groups: dict[Labels, list[Pair]] = defaultdict(list)
    for y in scores.select(entry.y, entry.where):
        matching = [x for x in candidates if all(y.labels.get(name) == value for name, value in x.labels.items())]
        if len(matching) == 1:
            groups[y.labels.without(varying)].append((matching[0], y))
    return groups


def correlation(
    scores: Scores, label: str, entry: CorrelationEntry, varying: Collection[str]
) -> Iterator[LabelledScore]:
    """Yield Pearson's r with Fisher's interval and the slope of the regression, for each group of points."""
    for labels, pairs in points(scores, entry, varying).items():
        void = next((score.void for pair in pairs for score in pair if score.void), None) or _mixed_images(pairs)
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


def _mixed_images(pairs: Sequence[Pair]) -> str | None:
    """Return a reason if the attacks' values on one axis are of different images, and so not comparable.

    The two axes may be of different images. Under `correct_by_target`, an interaction on the source is over all images,
    and a target's score is over the images that the target classifies correctly; both are the same for every attack.
    """
    for axis in zip(*pairs, strict=True):
        known = [score for score in axis if score.images is not None]
        if any(score.images != known[0].images for score in known):
            return f"the attacks' values of {known[0].metric} are of different images"
    return None
