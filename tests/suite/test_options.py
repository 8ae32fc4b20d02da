"""Options of recipes: a fault is one line, and no option has the name of a key of its table."""

import pytest
from pydantic import BaseModel

from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.suite.load import load_suite
from bench_core.suite.model import AttackEntry, DataEntry, MetricEntry, ModelEntry

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
