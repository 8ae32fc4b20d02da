"""The category of an attack is a label of its scores, by which tables and plots choose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.plots.differences import differences
from bench_core.registry import Registry
from bench_core.result import Result

WriteSuite = Callable[..., str]
ATTACKS = """[attacks]
"MI"  = { recipe = "mi", category = "momentum" }
"NI"  = { recipe = "ni", category = "momentum" }
"VR"  = { recipe = "vr", copies = 2, category = "neighbours" }
"PGD" = { recipe = "pgd" }"""
TABLE = """
[[tables]]
name = "momentum"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.last"
where = { category = "momentum" }
baseline = { attack = "MI" }
"""


@pytest.fixture
def result(write_suite: WriteSuite, tmp_path: Path, registry: Registry) -> Result:
    path = write_suite(('[attacks]\n"PGD" = { recipe = "pgd" }', ATTACKS), append=TABLE)
    return run(load_suite(path), out=tmp_path, registry=registry, executor="inline")


def test_tables_and_differences_choose_by_it(result: Result) -> None:
    table = next(table for table in result.tables if table.name == "momentum")
    assert [key for key, _ in table.rows] == [("A", "MI"), ("A", "NI"), ("A+B", "MI"), ("A+B", "NI")]
    labels = {score.labels.attack: score.labels.get("category") for score in result.scores if score.labels.attack}
    assert labels == {"MI": "momentum", "NI": "momentum", "VR": "neighbours", "PGD": None}
    found = differences(result.scores, "transfer.last", {"attack": "PGD"}, result.suite.attack_labels)
    assert {score.labels.attack for score in found} == {"MI", "NI", "VR"}, "a baseline may be of another category"


def test_it_is_a_label_only_where_an_attack_has_one(
    write_suite: WriteSuite, tmp_path: Path, registry: Registry
) -> None:
    with pytest.raises(UsageError) as caught:
        run(load_suite(write_suite(append=TABLE.replace('{ attack = "MI" }', "{}"))), out=tmp_path, registry=registry)
    assert "category" in caught.value.faults[0].message


def test_no_sweep_can_have_its_name(write_suite: WriteSuite) -> None:
    swept = '"PGD" = { recipe = "pgd", sweep = { category = [1, 2] } }'
    with pytest.raises(UsageError) as caught:
        load_suite(write_suite(('"PGD" = { recipe = "pgd" }', swept)))
    assert "dimension of all scores" in caught.value.faults[0].message
