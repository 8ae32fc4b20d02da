"""What success costs in passes through the source, and the Pareto front: nothing else is both better and cheaper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..reserved import RECORD
from .summarise import LabelledScore

OF_THE_ATTACK = ("source", "attack", "budget")
AttackKey = tuple[str, ...]


def front(points: Sequence[tuple[float, float]], highest: bool = True) -> list[int]:
    """Give the places of the points (cost, value) that no other matches in both and beats in one, cheapest first.

    Of equal points all are on the front. Points that are not numbers are not.
    """
    sign = 1 if highest else -1
    real = [place for place, (cost, value) in enumerate(points) if cost == cost and value == value]  # noqa: PLR0124
    ordered = sorted(real, key=lambda place: (points[place][0], -sign * points[place][1]))
    chosen: list[int] = []
    for place in ordered:
        cost, value = points[place]
        if not chosen or sign * value > sign * points[chosen[-1]][1] or points[chosen[-1]] == (cost, value):
            chosen.append(place)
    return chosen


def attack_of(score: LabelledScore) -> AttackKey:
    """Give the source, attack and budget that a score is of."""
    return tuple(str(score.labels.get(name, "")) for name in OF_THE_ATTACK)


def passes(scores: Iterable[LabelledScore]) -> dict[AttackKey, float]:
    """Give for each source, attack and budget the passes that an image cost, forwards and backwards together."""
    total: dict[AttackKey, float] = {}
    for each in scores:
        if not each.void and each.metric in (f"{RECORD}.forwards", f"{RECORD}.backwards"):
            total[attack_of(each)] = total.get(attack_of(each), 0.0) + each.score.value
    return total
