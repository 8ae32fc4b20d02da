"""Security curves against brute force on small arrays of any eps, for success and for accuracy, and their laws."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_core.scores.curves import security_curve
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.scored import LabelledScore, Scores
from bench_core.statistics import mean, proportion
from bench_core.suite.outputs import CurveEntry
from tests.properties import UNTIMED

Values = Sequence[Sequence[float]]  # [eps][image]
KINDS = st.sampled_from(["max", "min"])
TEXTS = ("0", "1/8", "1/4", "1/2", "0.75", "1", "9/8")


@st.composite
def curves(draw: st.DrawFn, shares: bool = True) -> tuple[list[str], Values]:
    """Some eps in any order, and outcomes of some images at each; shares if an image has several outcomes."""
    eps = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5, unique=True).filter(lambda each: each != ["0"]))
    images = draw(st.integers(1, 6))
    value = st.sampled_from((0.0, 1.0, 0.5, 0.25) if shares else (0.0, 1.0))
    return eps, [draw(st.lists(value, min_size=images, max_size=images)) for _ in eps]


def amount(eps: str) -> float:
    numerator, _, denominator = eps.partition("/")
    return float(numerator) / float(denominator or 1)


def found(eps: Sequence[str], values: Values, take: Any) -> Mapping[tuple[str, str | None], LabelledScore]:
    made = []
    for one, row in zip(eps, values, strict=True):
        labels = Labels.of({"source": "A", "attack": "X", "budget": f"b eps={one} steps=9", "norm": "l2", "eps": one})
        score = proportion("s", row) if set(row) <= {0.0, 1.0} else mean("s", row)
        made.append(LabelledScore("m.s", labels, score, images=ImageSet.of("selected", range(len(row)))))
    scores = security_curve(Scores(made), "curve", CurveEntry(value="m.s", take=take))
    return {(score.metric, score.labels.get("eps")): score for score in scores}


def at(places: Sequence[float], heights: Sequence[float], eps: float) -> float:
    """Return the height of joined lines at an eps."""
    for (left, low), (right, high) in zip(
        zip(places, heights, strict=True), zip(places[1:], heights[1:], strict=True), strict=False
    ):
        if left <= eps <= right:
            return low + (high - low) * (eps - left) / (right - left)
    raise ValueError(eps)


def worst_of(eps: Sequence[str], values: Values, image: int, take: str) -> dict[float, float]:
    pick = max if take == "max" else min
    outcomes = {amount(one): row[image] for one, row in zip(eps, values, strict=True)}
    return {one: pick(value for other, value in outcomes.items() if other <= one) for one in sorted(outcomes)}


@settings(UNTIMED, max_examples=30)
@given(curves(), KINDS)
def test_a_curve_is_what_brute_force_finds(drawn: tuple[list[str], Values], take: str) -> None:
    (eps, values), scores = drawn, found(*drawn, take)
    images = len(values[0])
    by_image = [worst_of(eps, values, image, take) for image in range(images)]
    for one in eps:
        worst = scores["curve.worst", one]
        assert worst.per_image.values.tolist() == [each[amount(one)] for each in by_image]
        assert worst.labels.budget == f"b eps={one} steps=9"
        assert worst.score.low <= worst.score.value <= worst.score.high
    joined = []
    for each in by_image:
        start = {} if 0 in each else {0.0: 0.0 if take == "max" else 1.0}
        joined.append((list((start | each).keys()), list((start | each).values())))
    furthest = max(map(amount, eps))
    cells = 72  # no kink lies inside of a cell, so that midpoints are exact
    middles = [(k + 0.5) * furthest / cells for k in range(cells)]
    areas = [float(np.mean([at(*each, middle) for middle in middles])) for each in joined]
    assert scores["curve.area", None].per_image.values == pytest.approx(areas, abs=1e-9)
    half = scores["curve.half_eps", None]
    assert half.labels.budget == "b steps=9"
    heights = np.mean([each[1] for each in joined], axis=0)
    reached = [height >= 0.5 if take == "max" else height <= 0.5 for height in heights]
    if not any(reached):
        assert half.score.value == math.inf
        return
    assert at(joined[0][0], heights, half.score.value) == pytest.approx(0.5) or half.score.value == 0
    assert half.score.value <= joined[0][0][reached.index(True)]
    assert half.score.low <= half.score.value <= half.score.high


@settings(UNTIMED, max_examples=30)
@given(curves(shares=False), KINDS)
def test_success_rises_and_accuracy_falls_image_by_image(drawn: tuple[list[str], Values], take: str) -> None:
    (eps, _), scores = drawn, found(*drawn, take)
    order = sorted(eps, key=amount)
    rows = np.array([scores["curve.worst", one].per_image.values for one in order])
    steps = np.diff(rows, axis=0)
    assert (steps >= 0).all() if take == "max" else (steps <= 0).all()


@settings(UNTIMED, max_examples=30)
@given(curves(), curves())
def test_a_stronger_attack_has_the_larger_area_and_the_smaller_half_eps(
    drawn: tuple[list[str], Values], other: tuple[list[str], Values]
) -> None:
    eps, values = drawn
    more = np.resize(np.array(other[1]), (len(eps), len(values[0])))
    stronger = np.maximum(np.array(values), more).tolist()
    weak, strong = found(eps, values, "max"), found(eps, stronger, "max")
    assert (strong["curve.area", None].per_image.values >= weak["curve.area", None].per_image.values).all()
    assert strong["curve.half_eps", None].score.value <= weak["curve.half_eps", None].score.value + 1e-12


@settings(UNTIMED, max_examples=30)
@given(curves())
def test_accuracy_and_success_are_one_curve_seen_from_two_sides(drawn: tuple[list[str], Values]) -> None:
    eps, values = drawn
    success, accuracy = found(eps, values, "max"), found(eps, (1 - np.array(values)).tolist(), "min")
    areas = [each["curve.area", None].per_image.values for each in (success, accuracy)]
    assert areas[0] + areas[1] == pytest.approx(np.ones(len(values[0])))
    halves = [each["curve.half_eps", None].score for each in (success, accuracy)]
    assert halves[0].value == pytest.approx(halves[1].value)
    assert (halves[0].low, halves[0].high) == pytest.approx((halves[1].low, halves[1].high))
