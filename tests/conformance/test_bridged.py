"""Attacks of torchattacks keep the rules, or declare their deviations."""

from collections.abc import Callable

import pytest

torchattacks = pytest.importorskip("torchattacks")


@pytest.mark.bench("torchattacks:PGD")
@pytest.mark.bench("torchattacks:PGDL2")
@pytest.mark.bench("torchattacks:TIFGSM")
def test_some_of_torchattacks(bench_rule: Callable[[], None]) -> None:
    bench_rule()


@pytest.mark.slow
@pytest.mark.bench("torchattacks")
def test_all_of_torchattacks(bench_rule: Callable[[], None]) -> None:
    bench_rule()
