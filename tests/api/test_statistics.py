"""Intervals against closed forms and published values."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_core.statistics import RESAMPLES, _weights, bootstrap, mean, proportion, student_t, wilson
from tests.properties import UNTIMED


def test_wilson_equals_published_values() -> None:
    # Newcombe (1998), table I, score method without continuity correction.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(successes, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@UNTIMED
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


def test_scores_keep_the_values_they_are_the_mean_of() -> None:
    score = proportion("share", [True, False, True, True])
    assert (score.value, score.n) == (0.75, 4)
    assert (score.low, score.high) == wilson(3, 4)
    assert mean("m", [1.0, 2.0]).value == 1.5
    assert np.array_equal(mean("m", [1.0, 2.0]).per_image, [1.0, 2.0])


def test_resampling_weights_are_drawn_once_per_n_and_in_float64() -> None:
    weights = _weights(30, 7)
    assert np.array_equal(weights, np.random.default_rng(7).multinomial(30, np.full(30, 1 / 30), size=RESAMPLES))
    assert weights is _weights(30, 7)
    assert weights.dtype == np.float64  # a product of a narrower type with the values would copy it every time


@pytest.mark.parametrize("two_sided", [0.5, 0.9, 0.95, 0.999])
def test_student_t_solves_the_closed_forms_of_one_two_and_four_degrees(two_sided: float) -> None:
    assert student_t(1, two_sided) == pytest.approx(math.tan(math.pi * two_sided / 2), rel=1e-12)
    assert student_t(2, two_sided) == pytest.approx(two_sided * math.sqrt(2 / (1 - two_sided**2)), rel=1e-12)
    # P(|T| <= t) = sin(a) (1 + cos(a)^2 / 2), tan(a) = t / sqrt(4): Abramowitz and Stegun, 26.7.4
    angle = math.atan(student_t(4, two_sided) / 2)
    assert math.sin(angle) * (1 + math.cos(angle) ** 2 / 2) == pytest.approx(two_sided, rel=1e-12)


def test_importing_the_statistics_does_not_import_scipy() -> None:
    code = "import sys, bench_core.statistics; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
