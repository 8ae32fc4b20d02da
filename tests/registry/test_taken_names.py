"""Options whose names the tables of a suite keep for themselves are refused, since no suite could set them."""

from collections.abc import Callable
from typing import Any

import pytest

from bench_core.registry import TAKEN, Offer, Origin
from bench_core.suite.model import AttackEntry, DataEntry, MetricEntry, ModelEntry
from bench_core.types import AttackRecipe


def wrong(budget: Any, sweep: int = 1) -> Any:
    return None


def right(budget: Any, kind: str = "a", over: int = 1) -> Any:
    return None


@pytest.mark.parametrize(("build", "faults"), [(wrong, ["suite: attacks.x.sweep"]), (right, [])])
def test_an_option_that_no_suite_can_set_is_a_fault(build: Callable[..., Any], faults: list[str]) -> None:
    offer = Offer("attacks", "mine", {"mine": AttackRecipe(build, "mine")}, Origin("my_plugin", "my-package", "1", ""))
    _, found = offer.check({}, "suite", "attacks.x")
    assert [str(fault).split(": mine")[0] for fault in found] == faults
    assert all("my_plugin (my-package 1)" in str(fault) and "rename it" in str(fault) for fault in found)


def test_the_taken_names_are_the_keys_of_the_tables() -> None:
    tables = {"attacks": AttackEntry, "metrics": MetricEntry, "models": ModelEntry, "datasets": DataEntry}
    assert {kind: set(names) for kind, names in TAKEN.items()} == {
        kind: set(table.model_fields) for kind, table in tables.items()
    }
