"""The script that writes the project's own site: all embedded suites, and an honest size."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bench_core.errors import UsageError
from bench_core.suite.find import own_suites
from tests.commands.test_cli import GOOD

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))  # as for a script
    yield importlib.import_module("make_project_site")
    sys.path.remove(str(DOCS))


def test_every_suite_of_the_embedded_networks_is_on_the_site(script: ModuleType) -> None:
    assert script.embedded_suites() == [name for name, path in own_suites().items() if "embedded" in path.read_text()]


def test_the_size_is_that_of_all_published_files(script: ModuleType, tmp_path: Path) -> None:
    for name, size in (("index.html", 10), ("runs/a.html", 1000), ("runs/a-plot-1.webp", 300), (".cache/b.json", 5000)):
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    sizes = script.weights(tmp_path / "site")
    assert sum(sizes.values()) == 1310
    lines = script.report(sizes).splitlines()
    assert lines[0].split()[0] == "1,310"
    assert [line.split() for line in lines[1:3]] == [["1,300", "runs"], ["10", "index.html"]]
    assert lines[lines.index("the heaviest files:") + 1].split() == ["1,000", "runs/a.html"]


def test_runs_that_exist_are_not_made_again(script: ModuleType, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "transfer_table1" / "embedded").mkdir(parents=True)
    (tmp_path / "transfer_table1" / "embedded" / "run.json").write_text("{}")
    monkeypatch.setattr(script, "run", lambda *_, **__: pytest.fail("ran"))
    assert script.make_runs(["transfer_table1"], tmp_path, None) == [tmp_path / "transfer_table1" / "embedded"]


def test_what_is_not_installed_is_said_before_anything_runs(script: ModuleType, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(script, "run", lambda *_, **__: pytest.fail("ran"))
    for name in ("first", "second"):
        (tmp_path / f"{name}.toml").write_text(GOOD.replace('recipe = "pgd"', f'recipe = "{name}_lib:pgd"'))
    with pytest.raises(UsageError) as raised:
        script.make_runs([str(tmp_path / "first.toml"), str(tmp_path / "second.toml")], tmp_path / "results", None)
    assert [fault.message.partition(" (")[0] for fault in raised.value.faults] == [
        'unknown attack "first_lib:pgd"', 'unknown attack "second_lib:pgd"',
    ]  # fmt: skip
