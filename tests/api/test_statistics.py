"""Intervals against closed forms and published values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_core.statistics import RESAMPLES, _weights, bootstrap, mean, proportion, wilson


def test_wilson_equals_values_worked_out_elsewhere() -> None:
    # Newcombe (1998), table I, score method without continuity correction.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(successes, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 500), st.data())
def test_wilson_solves_its_equation(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    p, z = successes / n, 1.959963984540054
    for bound in wilson(successes, n):
        if 0 < bound < 1:
            assert abs(p - bound) == pytest.approx(z * np.sqrt(bound * (1 - bound) / n), abs=1e-9)


def test_the_bootstrap_of_a_mean_is_close_to_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    assert bootstrap(values) == (low, high)
    assert bootstrap(np.full(5, 0.25)) == (0.25, 0.25)
    assert np.isnan(bootstrap([])).all()


def test_scores_keep_what_they_are_the_mean_of() -> None:
    score = proportion("share", [True, False, True, True])
    assert (score.value, score.n) == (0.75, 4)
    assert (score.low, score.high) == wilson(3, 4)
    assert mean("m", [1.0, 2.0]).value == 1.5
    assert np.array_equal(mean("m", [1.0, 2.0]).per_image, [1.0, 2.0])


def test_the_draws_are_shared_by_all_values_of_one_n_and_copied_for_none() -> None:
    weights = _weights(30, 7)
    assert np.array_equal(weights, np.random.default_rng(7).multinomial(30, np.full(30, 1 / 30), size=RESAMPLES))
    assert weights is _weights(30, 7)
    assert weights.dtype == np.float64  # of a narrower type a product with the values would make a copy every time
