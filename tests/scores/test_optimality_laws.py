"""Attack optimality against its definition (AttackBench, arXiv:2404.19460) in exact fractions, and its laws.

The curve of an attack is the share of images that it does not fool within eps. Its optimality is 1 minus the area
between its curve and that of the best distances, divided by the area between the clean accuracy and the latter, both up
to the eps at which the best curve ends, or the budget's.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.optimality import optimality
from bench_core.scores.rows import RowSet
from bench_core.scores.scored import LabelledScore
from bench_core.suite.model import MetricEntry
from bench_core.suite.outputs import OptimalityEntry
from tests.properties import UNTIMED

NEVER = 10**6  # quarters; an image that an attack does not fool
EPS = 8  # quarters, the budget's
QUARTERS = st.one_of(st.integers(1, 12), st.just(NEVER))
Distances = Sequence[int]


class SUITE:
    """What optimality uses of a suite."""

    metrics: ClassVar = {"far": MetricEntry.model_validate({"recipe": "fooling_distance", "norm": "l2"})}
    budgets: ClassVar = {"l2": SimpleNamespace(eps=EPS / 4)}


@st.composite
def networks(draw: st.DrawFn, attacks: int, most: int = 2) -> list[list[list[int]]]:
    """Distances [network][attack][image] in quarters. An image that is misclassified has the distance 0 for all."""
    images, found = draw(st.integers(1, 6)), []
    for _ in range(draw(st.integers(1, most))):
        right = draw(st.lists(st.booleans(), min_size=images, max_size=images))
        table = [draw(st.lists(QUARTERS, min_size=images, max_size=images)) for _ in range(attacks)]
        found.append([[value * each for value, each in zip(row, right, strict=True)] for row in table])
    return found


def unfooled(distances: Distances, eps: Fraction) -> Fraction:
    return Fraction(sum(distance > eps for distance in distances), len(distances))


def area(distances: Distances, upto: int) -> Fraction:
    """Integrate the curve, which is constant between two whole numbers of quarters."""
    return sum((unfooled(distances, Fraction(2 * k + 1, 2)) for k in range(upto)), Fraction(0))


def by_definition(distances: Distances, table: Sequence[Distances]) -> Fraction | None:
    """Return the optimality of an attack; None where the normaliser is zero or nothing is fooled within eps."""
    best = [min(column) for column in zip(*table, strict=True)]
    if all(distance == 0 or distance >= EPS for distance in best):
        return None
    end = min(EPS, max(best))
    clean = Fraction(sum(distance > 0 for distance in best), len(best))
    normaliser = clean * end - area(best, end)
    return None if normaliser == 0 else 1 - (area(distances, end) - area(best, end)) / normaliser


def scores_of(tables: Sequence[Sequence[Distances]]) -> Mapping[tuple[str, str, Any], LabelledScore]:
    rows = []
    for network, table in enumerate(tables):
        for attack, distances in enumerate(table):
            labels = Labels.of({
                "source": f"N{network}", "target": f"N{network}", "attack": str(attack), "budget": "l2", "norm": "l2",
                "relation": "white-box",
            })  # fmt: skip
            far = np.array([np.inf if value == NEVER else value / 4 for value in distances])
            rows.append(RowSet("far", labels, ImageSet.of("selected", range(len(far))), {"distance": far}))
    entry: Any = OptimalityEntry(value="far.distance")
    suite: Any = SUITE
    found = optimality(rows, "best", entry, suite, {"attack", "budget"})
    return {(score.metric, str(score.labels.attack), score.labels.source): score for score in found}


@settings(UNTIMED, max_examples=60)
@given(networks(3))
def test_optimality_is_its_definition(tables: list[list[list[int]]]) -> None:
    scores = scores_of(tables)
    for attack in range(3):
        local = [by_definition(table[attack], table) for table in tables]
        for network, value in enumerate(local):
            score = scores["best.local", str(attack), f"N{network}"]
            assert bool(score.void) == (value is None)
            if value is not None:
                assert score.score.value == pytest.approx(float(value), abs=1e-12)
                assert 0 <= value <= 1
                assert score.score.low <= score.score.high or np.isnan(score.score.low)
        whole = scores["best.global", str(attack), None]
        known = [value for value in local if value is not None]
        assert bool(whole.void) == (len(known) < len(local))
        if not whole.void:
            assert whole.score.value == pytest.approx(float(sum(known, Fraction(0)) / len(known)), abs=1e-12)


@settings(UNTIMED, max_examples=60)
@given(networks(3, most=1))
def test_the_gap_is_the_area_between_the_curves_up_to_the_budget(tables: list[list[list[int]]]) -> None:
    (table,), scores = tables, scores_of(tables)
    best = [min(column) for column in zip(*table, strict=True)]
    for attack, distances in enumerate(table):
        between = float(area(distances, EPS) - area(best, EPS)) / 4
        gap = scores["best.gap", str(attack), "N0"].score.value
        assert gap == pytest.approx(between, abs=1e-12)
        assert gap >= 0


@settings(UNTIMED, max_examples=60)
@given(networks(3, most=1), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_a_dominated_attack_is_no_better(tables: list[list[list[int]]], further: list[int]) -> None:
    first, _, third = tables[0]
    dominated = [distance and distance + more for distance, more in zip(first, further, strict=False)]
    dominated = [min(distance, NEVER) for distance in dominated]
    scores = scores_of([[first, dominated, third]])
    for name, sign in (("best.gap", 1), ("best.local", -1)):
        better, worse = (scores[name, attack, "N0"] for attack in "01")
        if not better.void:
            assert sign * (worse.score.value - better.score.value) >= -1e-12


@settings(UNTIMED, max_examples=60)
@given(networks(4, most=1))
def test_another_attack_lowers_nobody_s_gap_and_the_best_have_none(tables: list[list[list[int]]]) -> None:
    before, after = scores_of([tables[0][:3]]), scores_of(tables)
    for attack in "012":
        assert after["best.gap", attack, "N0"].score.value >= before["best.gap", attack, "N0"].score.value
    best = [min(column) for column in zip(*tables[0], strict=True)]
    perfect = scores_of([[*tables[0], best]])
    assert perfect["best.gap", "4", "N0"].score.value == 0
    if not perfect["best.local", "4", "N0"].void:
        assert perfect["best.local", "4", "N0"].score.value == 1
    for attack in "0123":  # an attack that only repeats what is known changes nothing
        assert perfect["best.gap", attack, "N0"].score.value == after["best.gap", attack, "N0"].score.value


@settings(UNTIMED, max_examples=60)
@given(networks(2, most=1), st.randoms(use_true_random=False))
def test_neither_the_order_nor_the_repetition_of_images_counts(tables: list[list[list[int]]], random: Any) -> None:
    order = list(range(len(tables[0][0])))
    random.shuffle(order)
    shuffled = [[distances[index] for index in order] for distances in tables[0]]
    scores, other = scores_of(tables), scores_of([shuffled])
    doubled = scores_of([[2 * distances for distances in tables[0]]])
    for key, score in scores.items():
        assert bool(other[key].void) == bool(doubled[key].void) == bool(score.void)
        if not score.void:
            assert other[key].score.value == pytest.approx(score.score.value, abs=1e-12)
            assert doubled[key].score.value == pytest.approx(score.score.value, abs=1e-12)


def test_the_interval_resamples_gaps_and_rooms_together() -> None:
    """Every gap is half of the room of its image, so that each resample has an optimality of one half."""
    best, half = [1, 3, 5, 2], [3, 4, 5, 3]
    half[3] = 2 + (5 - 2) // 2  # a gap of 1 of 3: now the interval has a width
    score = scores_of([[best, half]])["best.local", "1", "N0"].score
    assert score.low < score.value < score.high
    score = scores_of([[best[:3], half[:3]]])["best.local", "1", "N0"].score
    assert (score.low, score.value, score.high) == pytest.approx((0.5, 0.5, 0.5))
