"""docs/plugins.md: every block is run as it stands, and the rules it lists are those that there are."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.torch import save_file
from torch import nn

from bench_core import load_suite, run
from bench_core.commands.new import write_package
from bench_core.registry import Origin, Registry
from bench_core.tables.formats import PLAIN, find_format
from bench_core.tables.sheet import sheet_of
from bench_core.testing import RULES, applicable, judge, offers, subjects

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def block(start: str) -> str:
    """Give the one block that starts so."""
    (found,) = [text for _, text in BLOCKS if text.startswith(start)]
    return found


def module_of(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Write a block as the file that its first line names, and import it."""
    name = Path(start.removeprefix("# ")).stem
    (tmp_path / f"{name}.py").write_text(block(start))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(name)


def registered(registry: Registry, module: ModuleType) -> Registry:
    registry.register(module, Origin(module.__name__, "mine", "1", ""))
    return registry


def statuses(registry: Registry, name: str, **options: object) -> set[str]:
    """Ask every rule of what is called so; a broken one fails here."""
    found = [judge(s, rule) for s in subjects(registry, offers(registry, name), options) for rule in applicable(s)]
    assert not [str(each) for each in found if each.status == "broken"]
    return {each.status for each in found}


def test_every_block_is_run_here() -> None:
    files = {text.splitlines()[0] for language, text in BLOCKS if language == "python" and text.startswith("# ")}
    assert files == {
        "# my-attack/my_attack.py", "# my_metric.py", "# my_model.py", "# my_data.py", "# my_executor.py",
        "# my_format.py", "# tests/test_conformance.py, run with -p bench_core.testing.pytest_plugin",
    }  # fmt: skip
    others = [text for language, text in BLOCKS if not text.startswith("# ")]
    assert len(others) == 3, "two of commands and one of deviations"


def test_the_attack(registry: Registry, tmp_path: Path, monkeypatch, write_suite) -> None:
    module = module_of("# my-attack/my_attack.py", tmp_path, monkeypatch)
    assert statuses(registered(registry, module), "jumps") == {"holds", "unasked"}
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "jumps", scale = 0.5 }'))
    result = run(suite, out=tmp_path / "out", registry=registry, executor="inline")
    assert result.complete
    table = tomllib.loads(block("# my-attack/pyproject.toml"))
    assert table["project"]["entry-points"]["bench"] == {"my_attack": "my_attack"}


def test_the_metric(registry: Registry, tmp_path: Path, monkeypatch, write_suite) -> None:
    module = module_of("# my_metric.py", tmp_path, monkeypatch)
    assert statuses(registered(registry, module), "confidence") == {"holds"}
    suite = write_suite(('recipe = "transfer"', 'recipe = "confidence"'), ("transfer.success", "transfer.confidence"))
    assert run(suite, out=tmp_path / "out", registry=registry, executor="inline").complete


def test_the_model(registry: Registry, tmp_path: Path, monkeypatch) -> None:
    module = module_of("# my_model.py", tmp_path, monkeypatch)
    file = tmp_path / "weights.safetensors"
    save_file(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).state_dict(), file)
    assert statuses(registered(registry, module), "my_model", weights=str(file)) == {"holds", "unasked"}
    assert statuses(registry, "my_model", weights="nowhere") == {"unasked"}


def test_the_dataset(registry: Registry, tmp_path: Path, monkeypatch) -> None:
    module = module_of("# my_data.py", tmp_path, monkeypatch)
    assert statuses(registered(registry, module), "stripes", count=20) == {"holds"}


def test_the_executor_and_the_format(registry: Registry, tmp_path: Path, monkeypatch, write_suite, capsys) -> None:
    for start in ("# my_executor.py", "# my_format.py"):
        registered(registry, module_of(start, tmp_path, monkeypatch))
    usual, timed = (
        run(write_suite(), out=tmp_path / name, registry=registry, executor=name) for name in ("inline", "timed")
    )
    assert timed.tables == usual.tables
    assert " s\n" in capsys.readouterr().err
    text = find_format("org", registry.manager)(sheet_of(timed.tables[0]), PLAIN)
    assert text.startswith(f"* {timed.tables[0].title}\n| source | attack |")
    assert f"{timed.tables[0].rows[0][1][0].value:.3g}" in text


def test_the_rules_are_those_that_there_are() -> None:
    listed = re.findall(r'^\| <a id="([\w-]+)"></a>`(\w+)`( \\\*)? \| (.*) \|$', PAGE, flags=re.MULTILINE)
    expected = [
        (f"{kind}-{rule.name.replace('_', '-')}", rule.name, "" if rule.declarable else r" \*", rule.about)
        for kind, rules in RULES.items()
        for rule in rules.values()
    ]
    assert listed == expected


@pytest.mark.parametrize("kind", ["attack", "metric", "model"])
def test_a_package_that_bench_writes_is_whole(kind: str, registry: Registry, tmp_path: Path, monkeypatch) -> None:
    name = f"my_written_{kind}"
    folder = tmp_path / name.replace("_", "-")
    files = {str(path.relative_to(folder)) for path in write_package(kind, name, folder)}
    assert files >= {"pyproject.toml", "README.md", f"{name}.toml", f"{name}/__init__.py", f"tests/test_{name}.py"}
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert statuses(registered(registry, __import__(name)), name) <= {"holds", "unasked"}
    own: dict[str, object] = {}
    exec(compile((folder / "tests" / f"test_{name}.py").read_text(), name, "exec"), own)
    for test in [value for key, value in own.items() if key.startswith("test_") and callable(value)]:
        test()
    suite = load_suite(str(folder / f"{name}.toml"), overrides=["budgets.linf.steps=1", 'images.models=["VGG"]'])
    result = run(suite, out=tmp_path / "out", limit=2, registry=registry, executor="inline")
    assert result.complete
    assert all(np.isfinite(cell.value) for _, cells in result.tables[0].rows for cell in cells)
