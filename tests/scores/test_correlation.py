"""Correlation and regression against NumPy's least squares, tables of Student's t, and coverage of the intervals."""

import math

import numpy as np
import pytest

from bench_core.statistics import pearson, regression, student_t


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (29, 2.0452), (1000, 1.9623)],
)
def test_student_t_agrees_with_published_tables(degrees: int, expected: float) -> None:
    assert student_t(degrees) == pytest.approx(expected, abs=1e-4)


def test_pearson_with_fishers_interval() -> None:
    r, low, high = pearson([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 3, 2, 5, 4, 6, 8, 7, 10, 9])
    assert r == pytest.approx(0.9515, abs=1e-4)
    z = math.atanh(r)
    assert (low, high) == pytest.approx((math.tanh(z - 1.96 / 7**0.5), math.tanh(z + 1.96 / 7**0.5)), abs=1e-4)
    assert pearson([1, 2], [4, 3]) == pytest.approx((-1, -1, 1))
    assert all(map(math.isnan, pearson([1, 1, 1, 1], [1, 2, 3, 4])))
    assert all(map(math.isnan, pearson([], [])))


def test_fishers_interval_covers() -> None:
    random, true, trials, hits = np.random.default_rng(0), -0.6, 2000, 0
    for _ in range(trials):
        x = random.normal(size=15)
        _, low, high = pearson(x, true * x + math.sqrt(1 - true**2) * random.normal(size=15))
        hits += low <= true <= high
    assert 0.935 < hits / trials < 0.965


def test_the_line_is_the_least_squares_line_and_its_band_covers_the_true_one() -> None:
    random, x = np.random.default_rng(1), np.array([0.0, 1.0, 2.0, 3.0, 5.0, 8.0])
    trials, mean_hits, slope_hits = 2000, 0, 0
    for _ in range(trials):
        y = 2 - 0.5 * x + random.normal(size=len(x))
        line = regression(x, y)
        assert (line.slope, line.intercept) == pytest.approx(tuple(np.polyfit(x, y, 1)))
        _, low, high = line.at([4.0])
        mean_hits += bool(low[0] <= 2 - 0.5 * 4.0 <= high[0])
        slope_hits += line.slope_interval[0] <= -0.5 <= line.slope_interval[1]
    assert 0.935 < mean_hits / trials < 0.965
    assert 0.935 < slope_hits / trials < 0.965


def test_too_few_points_have_no_band_and_a_column_of_points_no_line() -> None:
    assert np.isnan(regression([0, 1], [0, 1]).at([0.5])[1]).all()
    with pytest.raises(ValueError, match="different x"):
        regression([1, 1], [0, 1])
