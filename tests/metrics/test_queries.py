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
        asked = [each for each in FOOLED_AT if 0 < each <= number]
        assert found["mean_within", number] == pytest.approx(np.mean(asked))
    assert ("success", 100) not in found  # nobody asked 100 times
    assert found["median", 0] == 7
    assert found["mean", 0] == pytest.approx(np.mean([each for each in FOOLED_AT if each]))
    assert found["limited_mean", 0] == pytest.approx(np.mean([each or 40 for each in FOOLED_AT]))


def test_the_interval_of_a_mean_within_a_number_is_of_resampled_images() -> None:
    rows = {"fooled_at": np.array(FOOLED_AT), "limit": np.full(len(FOOLED_AT), 40)}
    (within,) = [score for score in QueryCount((5,)).summarise(rows) if score.name == "mean_within"][:1]
    draws = np.random.default_rng(0).integers(0, 9, (4000, 9))
    resampled = [[each for each in np.array(FOOLED_AT)[draw] if 0 < each <= 5] for draw in draws]
    means = [np.mean(each) for each in resampled if each]
    assert (within.low, within.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.15)
    assert (within.n, within.value) == (4, np.mean([1, 4, 2, 4]))
    assert math.isnan(scores([40] * 3, 40, (5,))["mean_within", 5])


@pytest.mark.parametrize("at", [(2, 10), (10, 2, 10, 40), (100,), ()])
def test_the_success_at_the_limit_is_always_among_them(at: tuple[int, ...]) -> None:
    found = scores(FOOLED_AT, 40, at)
    numbers = [number for name, number in found if name == "success"]
    assert numbers == sorted({number for number in at if number < 40} | {40})
    assert found["success", 40] == pytest.approx(7 / 9)


def test_the_median_is_infinite_where_half_are_not_fooled() -> None:
    assert scores([0, 0, 3], 5, (5,))["median", 0] == math.inf
