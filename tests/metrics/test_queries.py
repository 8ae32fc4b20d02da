"""The metric `queries` against brute force on small arrays."""

import math

import numpy as np
import pytest

from bench_metrics.queries import QueryCount

FOOLED_AT = [1, 4, 0, 9, 2, 0, 30, 4, 7]


def scores(fooled_at: list[int], limit: int, at: tuple[int, ...]) -> dict[tuple[str, int], float]:
    rows = {"fooled_at": np.array(fooled_at), "limit": np.full(len(fooled_at), limit)}
    found = QueryCount(at).summarise(rows)
    return {(score.name, score.labels.get("queries", 0)): score.value for score in found}


def test_scores_are_those_of_a_count() -> None:
    found = scores(FOOLED_AT, 40, (10, 2, 40, 100))
    for number in (2, 10, 40):
        assert found["success", number] == pytest.approx(sum(0 < each <= number for each in FOOLED_AT) / 9)
    assert ("success", 100) not in found  # nobody asked 100 times
    assert found["median", 0] == 7
    assert found["mean", 0] == pytest.approx(np.mean([each for each in FOOLED_AT if each]))
    assert found["limited_mean", 0] == pytest.approx(np.mean([each or 40 for each in FOOLED_AT]))


@pytest.mark.parametrize("at", [(2, 10), (10, 2, 10, 40), (100,), ()])
def test_the_success_at_the_limit_is_always_among_them(at: tuple[int, ...]) -> None:
    found = scores(FOOLED_AT, 40, at)
    numbers = [number for name, number in found if name == "success"]
    assert numbers == sorted({number for number in at if number < 40} | {40})
    assert found["success", 40] == pytest.approx(7 / 9)


def test_the_median_is_infinite_where_half_are_not_fooled() -> None:
    assert scores([0, 0, 3], 5, (5,))["median", 0] == math.inf
