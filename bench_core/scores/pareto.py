"""The cost of success, in passes through the source or in visibility, and the Pareto front of cost and value."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from ..reserved import RECORD
from ..suite.sweeps import without_eps
from .scored import LabelledScore, Scores

AttackKey = tuple[str, ...]  # source, attack, budget


def front(points: Sequence[tuple[float, float]], highest: bool = True) -> list[int]:
    """Return the indices of the points on the Pareto front, cheapest first.

    A point is on the front if no other point is at least as good in both cost and value, and better in one of them.
    Equal points are all on the front; points with a NaN are not.

    Args:
        points: Pairs (cost, value); a low cost is good.
        highest: Whether a high value is good.
    """
    sign = 1 if highest else -1
    complete = [index for index, point in enumerate(points) if not any(map(math.isnan, point))]
    ordered = sorted(complete, key=lambda index: (points[index][0], -sign * points[index][1]))
    chosen: list[int] = []
    for index in ordered:
        cost, value = points[index]
        if not chosen or sign * value > sign * points[chosen[-1]][1] or points[chosen[-1]] == (cost, value):
            chosen.append(index)
    return chosen


def attack_of(score: LabelledScore) -> AttackKey:
    """Return the source, attack and budget of a score."""
    labels = score.labels
    return labels.source or "", labels.attack or "", labels.budget or ""


def attacks_behind(scores: Iterable[LabelledScore], budgets: Collection[str]) -> list[AttackKey]:
    """Return the source, attack and budget of each attack that some scores depend on, each once.

    The area under a curve and its `half_eps` have the label of the sweep for a budget: they depend on all its budgets.

    Args:
        scores: The scores. Those without an attack are left out.
        budgets: The labels of the suite's budgets.
    """
    found: dict[AttackKey, None] = {}
    for score in scores:
        if not score.labels.attack:
            continue
        source, attack, budget = attack_of(score)
        swept = [label for label in budgets if without_eps(label) == budget] if budget not in budgets else [budget]
        found |= dict.fromkeys((source, attack, label) for label in swept)
    return list(found)


def costs(scores: Scores, name: str) -> dict[AttackKey, float]:
    """Return the value of one score, METRIC.SCORE, for each source, attack and budget.

    Raises ValueError if an attack has several values of it.
    """
    found: dict[AttackKey, float] = {}
    for score in scores.select(name).valid():
        key = attack_of(score)
        if key in found:
            raise ValueError(f"{name} has several values for {' '.join(filter(None, key))} (try one without a target)")
        found[key] = score.score.value
    return {key: value for key, value in found.items() if not math.isnan(value)}


def passes(scores: Iterable[LabelledScore]) -> dict[AttackKey, float]:
    """Return the passes per image, forwards plus backwards, of each source, attack and budget."""
    total: dict[AttackKey, float] = {}
    for score in scores:
        if not score.void and score.metric in (f"{RECORD}.forwards", f"{RECORD}.backwards"):
            total[attack_of(score)] = total.get(attack_of(score), 0.0) + score.score.value
    return total
