"""docs/suite-reference.md is what its generator prints, and every key has a meaning and an example that validates."""

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from bench_core.suite.model import AttackEntry, Suite
from bench_core.suite.outputs import GateEntry

DOCS = Path(__file__).parents[2] / "docs"


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("suite_reference", DOCS / "suite_reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(DOCS))  # as for a script
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()
TABLES: list[type[BaseModel]] = [Suite, *GENERATOR.TABLES, *GENERATOR.PLOTS]
KEYS = [(table, key) for table in TABLES for key in GENERATOR.keys(table)]
IDS = [f"{table.__name__}.{key}" for table, key in KEYS]


def test_the_page_is_what_the_generator_prints() -> None:
    found = (DOCS / "suite-reference.md").read_text()
    assert found == GENERATOR.page(), "run: python docs/suite_reference.py > docs/suite-reference.md"


def tables_of(table: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a class and all classes of the tables in it."""
    inner = {
        found
        for field in table.model_fields.values()
        for found in GENERATOR._within(field.annotation)
        if GENERATOR.is_table(found)
    }
    return {table}.union(*(tables_of(found) for found in inner))


def test_the_page_has_every_table_of_the_schema() -> None:
    assert tables_of(Suite) <= set(TABLES)
    assert GateEntry in tables_of(Suite)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_meanings_are_of_keys_that_exist_and_every_key_has_one(table: type[BaseModel]) -> None:
    meanings = GENERATOR.meanings(table)
    assert set(table.model_fields) - set(meanings) == set()
    fields = set(table.model_fields) | ({"kind"} if table is GENERATOR.BasePlotEntry else set())
    assert set(meanings) <= fields
    assert all(text.endswith(".") for text in meanings.values())


def value(table: type[BaseModel], key: str) -> object:
    return tomllib.loads(f"{key} = {GENERATOR.example(table, key)}")[key]


@pytest.mark.parametrize(("table", "key"), KEYS, ids=IDS)
def test_every_example_validates(table: type[BaseModel], key: str) -> None:
    loaded = {"name": "x", "file": "x.toml", "profile": "embedded"} if table is Suite else {}
    required = [name for name, field in table.model_fields.items() if field.is_required() and name not in loaded]
    if table is AttackEntry and key != "parts":
        required = ["recipe"]
    if key in ("access", "queries"):
        required += ["access", "queries"]  # each needs the other
    given = {name: value(table, name) for name in required}
    checked = table(**{**loaded, **given, key: value(table, key)})
    assert key in checked.model_fields_set


@pytest.mark.parametrize(("table", "key"), KEYS, ids=IDS)
def test_examples_show_something_other_than_the_default(table: type[BaseModel], key: str) -> None:
    field = table.model_fields[key]
    if not field.is_required() and key not in ("rows", "columns", "lines"):
        assert value(table, key) != field.get_default(call_default_factory=True)
