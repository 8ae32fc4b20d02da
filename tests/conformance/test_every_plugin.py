"""Every attack, metric, model and dataset that comes with bench keeps the rules that others are held to."""

from collections.abc import Callable

import pytest

from bench_core.registry import Registry
from bench_core.testing import RULES

DEFAULT = ("PGD", "PGDL2", "MIFGSM", "TIFGSM")  # of torchattacks; all others are slow


@pytest.mark.bench("attacks")
@pytest.mark.bench("metrics")
@pytest.mark.bench("models")
def test_own_plugins_keep_every_rule(bench_rule: Callable[[], None]) -> None:
    bench_rule()


@pytest.mark.bench("torchattacks:PGD")
@pytest.mark.bench("torchattacks:PGDL2")
@pytest.mark.bench("torchattacks:TIFGSM")
def test_bridged_attacks_keep_every_rule_or_say_why_not(bench_rule: Callable[[], None]) -> None:
    bench_rule()


def test_nothing_that_is_offered_goes_unasked(installed: Registry) -> None:
    own = {offer.origin.plugin for (kind, _), offer in installed.offers.items() if kind in RULES}
    assert own == {"attacks", "metrics", "models", "torchattacks"}
