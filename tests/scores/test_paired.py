"""Paired tests against enumeration, closed forms and simulation."""

import math
from itertools import product

import numpy as np
import pytest

from bench_core.scores.paired import (
    bootstrap_p,
    critical,
    holm,
    mcnemar,
    mcnemar_power,
    smallest_drop,
    smallest_mean_drop,
)


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (1, 0), (5, 0), (0, 5), (7, 3), (3, 7), (12, 12), (40, 20)])
def test_mcnemar_is_the_exact_binomial_tail(worse: int, better: int) -> None:
    flips = worse + better
    expected = sum(math.comb(flips, k) for k in range(worse, flips + 1)) / 2**flips
    assert mcnemar(worse, better) == pytest.approx(expected, rel=1e-10)


def test_the_critical_number_is_the_fewest_that_is_significant() -> None:
    for flips in range(60):
        for level in (0.05, 0.05 / 40):
            least = critical(flips, level)
            assert least == flips + 1 or mcnemar(least, flips - least) <= level
            assert mcnemar(least - 1, flips - least + 1) > level if least else True


def test_the_power_is_what_enumerating_every_outcome_gives() -> None:
    n, drop, churn, level, margin = 7, 0.4, 0.1, 0.1, 0.2
    chances = {-1: churn + drop, 1: churn, 0: 1 - 2 * churn - drop}
    found = 0.0
    for flips in product(chances, repeat=n):
        worse, better = flips.count(-1), flips.count(1)
        if mcnemar(worse, better) <= level and (worse - better) / n > margin:
            found += math.prod(chances[flip] for flip in flips)
    assert mcnemar_power(n, drop, churn, level, margin) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize(("n", "flips", "level"), [(100, 0, 0.05), (300, 12, 0.05 / 20), (1000, 40, 0.05 / 200)])
def test_the_smallest_drop_is_where_the_power_begins(n: int, flips: int, level: float) -> None:
    drop = smallest_drop(n, flips, level, 0.01, 0.8)
    churn = flips / (2 * n)
    assert mcnemar_power(n, drop, churn, level, 0.01) >= 0.8
    assert mcnemar_power(n, drop - 2e-4, churn, level, 0.01) < 0.8


def test_too_few_images_can_find_no_drop() -> None:
    assert math.isnan(smallest_drop(4, 0, 0.05, 0.01, 0.8))
    assert not math.isnan(smallest_drop(5, 0, 0.05, 0.01, 0.8))


def test_holm_is_the_published_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_bootstrap_finds_a_harm_and_not_its_absence() -> None:
    draw = np.random.default_rng(0)
    assert bootstrap_p(draw.normal(0.5, 1, 100)) < 1e-3
    assert bootstrap_p(draw.normal(-0.5, 1, 100)) > 0.99
    assert bootstrap_p(np.zeros(50)) == 1
    assert bootstrap_p(np.full(5, 0.2)) == 0.5**5
    assert bootstrap_p(np.arange(100) + 50.0) < 1e-12


def test_the_smallest_mean_drop_has_the_power_it_names() -> None:
    draw = np.random.default_rng(1)
    drop = smallest_mean_drop(draw.normal(0, 1, 200), 0.05, 0.0, 0.8)
    found = [bootstrap_p(draw.normal(drop, 1, 200)) <= 0.05 for _ in range(150)]
    assert 0.7 < np.mean(found) < 0.9
