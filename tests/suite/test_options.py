"""Options of recipes: a fault is one line, and no option has the name of a key of its table."""

import datetime
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from bench_core.errors import UsageError
from bench_core.planning.lookup import planned_options
from bench_core.registry import Offer, Origin, Registry
from bench_core.suite.load import load_suite
from bench_core.suite.model import AttackEntry, DataEntry, MetricEntry, ModelEntry
from bench_core.suite.options import options_of
from bench_core.types import ExecutorRecipe, MetricRecipe

ORIGIN = Origin("x", "tests", "1", "")
TABLES = {"attacks": AttackEntry, "metrics": MetricEntry, "models": ModelEntry, "datasets": DataEntry}


@pytest.mark.parametrize(("kind", "table"), TABLES.items())
def test_every_option_can_be_given_in_a_suite(installed: Registry, kind: str, table: type[BaseModel]) -> None:
    taken = {
        name: {option.name for option in installed.find(kind, name, "", "").options} for name in installed.names(kind)
    }
    assert not {
        name: options & set(table.model_fields) for name, options in taken.items() if options & set(table.model_fields)
    }


@pytest.mark.parametrize("found", ["mean", -1, True])
def test_a_wrong_value_of_an_option_of_several_types_is_one_line(installed: Registry, found: object) -> None:
    _, faults = installed.find("attacks", "mi", "", "").check({"decay": found}, "suite", "attacks.X")
    assert [str(fault) for fault in faults] == [
        f'suite: attacks.X.decay: found {found!r}, expected float >= 0 or "average"'
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sources=[1]", "sources.0: found 1, expected str or list of str"),
        ('sources=[["AlexNet", 2]]', "sources.0: found ['AlexNet', 2], expected str or list of str"),
    ],
)
def test_a_wrong_value_of_several_types_in_a_suite_is_one_line(override: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite("transfer_table1", None, [override])
    assert [str(fault) for fault in caught.value.faults] == [f"--set {override}: {message}"]


def untyped(width=3):
    return width


def anything(width: Any = 3) -> Any:
    return width


def unwritable(width: Any = frozenset()) -> Any:
    return width


@pytest.mark.parametrize("build", [untyped, anything, partial(anything)])
def test_a_value_that_json_cannot_hold_is_a_fault(build: Callable[..., Any]) -> None:
    """Else the digest of the job would raise a TypeError while the suite is planned."""
    offer = Offer("metrics", "x", {"x": MetricRecipe(build, "")}, ORIGIN)
    assert planned_options(offer, {"width": [1, {"é": "ü"}, math.inf]}, "suite", "attacks.X")[1] == []
    options, faults = planned_options(offer, {"width": {"day": datetime.date(2020, 2, 3)}}, "suite", "attacks.X")
    assert options == {}
    assert [(fault.where, fault.key) for fault in faults] == [("suite", "attacks.X.width")]
    assert "expected text, a number, a list or a table" in faults[0].message


def test_a_default_that_json_cannot_hold_is_a_fault() -> None:
    offer = Offer("metrics", "x", {"x": MetricRecipe(unwritable, "")}, ORIGIN)
    assert [fault.key for fault in planned_options(offer, {}, "suite", "attacks.X")[1]] == ["attacks.X.width"]


def test_options_of_an_executor_need_not_be_json() -> None:
    offer = Offer("executors", "x", {"x": ExecutorRecipe(unwritable, "")}, ORIGIN)
    assert offer.check({}, "--executor x", "") == ({"width": frozenset()}, [])


def test_a_build_with_any_number_of_arguments_has_no_option_of_them() -> None:
    def build(*parts: int, width: int = 3, **others: int) -> int:
        return width

    assert [option.name for option in options_of(build)] == ["width"]


def test_an_attack_of_no_parts_is_one_clear_line(installed: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        installed.compose([], "suite", "attacks.X.parts")
    message = 'suite: attacks.X.parts: found an empty list, expected names of attacks (try ["mi", "ir"])'
    assert [str(fault) for fault in caught.value.faults] == [message]


def test_the_papers_secured_targets_are_those_of_the_imagenet_suite() -> None:
    """All three have published values. The images are selected without the two models that must be converted first."""
    suite = load_suite("transfer_table2", "imagenet")
    assert suite.targets == ["IncV3ens3", "IncV3ens4", "IncResV2ens3"]
    assert not {"IncV3ens3", "IncV3ens4"} & set(suite.images.models or [])
    known = load_suite("transfer_table2", "imagenet", ['targets=["IncResV2ens3"]'])
    assert "IncV3ens3" not in known.all_models
