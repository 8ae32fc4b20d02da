"""Every code block of docs/plugins.md runs, and the page lists all rules, hooks and modules of the API."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.torch import save_file
from torch import nn

from bench_core import hookspecs, load_suite, run
from bench_core.commands.new import write_package
from bench_core.planning.uses import NEEDS
from bench_core.registry import Origin, Registry
from bench_core.runs.finished import load_finished
from bench_core.tables.formats import PLAIN, find_format
from bench_core.tables.sheet import sheet_of
from bench_core.testing import RULES, applicable, judge, offers, subjects

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def block(start: str) -> str:
    """Return the only block that starts with `start`."""
    (found,) = [text for _, text in BLOCKS if text.startswith(start)]
    return found


def module_of(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Write a block to the file that its first line names, and import it."""
    name = Path(start.removeprefix("# ")).stem
    (tmp_path / f"{name}.py").write_text(block(start))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(name)


def registered(registry: Registry, module: ModuleType) -> Registry:
    registry.register(module, Origin(module.__name__, "mine", "1", ""))
    return registry


def statuses(registry: Registry, name: str, **options: object) -> set[str]:
    """Judge every rule of the named recipe; fail if one is broken."""
    verdicts = [judge(s, rule) for s in subjects(registry, offers(registry, name), options) for rule in applicable(s)]
    assert not [str(verdict) for verdict in verdicts if verdict.status == "broken"]
    return {verdict.status for verdict in verdicts}


def test_every_block_is_tested() -> None:
    files = {text.splitlines()[0] for language, text in BLOCKS if language == "python" and text.startswith("# ")}
    assert files == {
        "# my-attack/my_attack.py", "# my_flips.py", "# my_metric.py", "# my_model.py", "# my_data.py",
        "# my_executor.py", "# my_format.py", "# my_publisher.py",
        "# tests/test_conformance.py, run with -p bench_core.testing.pytest_plugin",
    }  # fmt: skip
    others = [text for language, text in BLOCKS if not text.startswith("# ")]
    assert len(others) == 3, "two blocks of commands and one of deviations"


def test_the_attack(registry: Registry, tmp_path: Path, monkeypatch, write_suite) -> None:
    module = module_of("# my-attack/my_attack.py", tmp_path, monkeypatch)
    assert statuses(registered(registry, module), "jumps") == {"holds", "unasked"}
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "jumps", scale = 0.5 }'))
    result = run(suite, out=tmp_path / "out", registry=registry, executor="inline")
    assert result.complete
    table = tomllib.loads(block("# my-attack/pyproject.toml"))
    assert table["project"]["entry-points"]["bench"] == {"my_attack": "my_attack"}


def test_the_publisher(registry: Registry, tmp_path: Path, monkeypatch, write_suite) -> None:
    registered(registry, module_of("# my_publisher.py", tmp_path, monkeypatch))
    result = run(write_suite(), out=tmp_path / "out", registry=registry, executor="inline")
    publisher = registry.find("publishers", "notes", "", "").build(file=str(tmp_path / "notes.md"))
    assert publisher.publish(load_finished(result.folder, registry)) == str(tmp_path / "notes.md")
    assert "N = 12" in (tmp_path / "notes.md").read_text()


def test_the_part(registry: Registry, tmp_path: Path, monkeypatch, write_suite) -> None:
    module = module_of("# my_flips.py", tmp_path, monkeypatch)
    assert statuses(registered(registry, module), "flips") == {"holds", "unasked"}
    suite = write_suite(('{ recipe = "pgd" }', '{ parts = ["vmi", "flips", "si"], neighbours = 2 }'))
    assert run(suite, out=tmp_path / "out", registry=registry, executor="inline").complete


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
    inline, timed = (
        run(write_suite(), out=tmp_path / name, registry=registry, executor=name) for name in ("inline", "timed")
    )
    assert timed.tables == inline.tables
    assert " s\n" in capsys.readouterr().err
    text = find_format("org", registry.manager)(sheet_of(timed.tables[0]), PLAIN)
    assert text.startswith(f"* {timed.tables[0].title}\n| source | attack |")
    assert f"{timed.tables[0].rows[0][1][0].value:.3g}" in text


def test_the_page_lists_all_rules() -> None:
    listed = re.findall(r'^\| <a id="([\w-]+)"></a>`(\w+)`( \\\*)? \| (.*) \|$', PAGE, flags=re.MULTILINE)
    expected = [
        (f"{kind}-{rule.name.replace('_', '-')}", rule.name, "" if rule.declarable else r" \*", rule.about)
        for kind, rules in RULES.items()
        for rule in rules.values()
    ]
    assert listed == expected


def test_the_page_lists_all_hooks_with_their_parameters() -> None:
    listed = re.findall(r"^\| `(bench_\w+)\((.*?)\)` \|", PAGE, flags=re.MULTILINE)
    hooks = [hook for name, hook in vars(hookspecs).items() if name.startswith("bench_")]
    assert listed == [(hook.__name__, ", ".join(inspect.signature(hook).parameters)) for hook in hooks]


def test_the_modules_of_the_api_exist_and_plugins_on_the_page_import_no_others() -> None:
    modules = set(re.findall(r"^\| `(bench_core\.\w+)` \|", PAGE, flags=re.MULTILINE))
    assert len(modules) == 17
    assert all(importlib.util.find_spec(module) for module in modules)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (allowed,) = [contract["ignore_imports"] for contract in contracts if "ignore_imports" in contract]
    own = {"bench_core.library_index"}  # for bench's own bridges to libraries
    assert {entry.removeprefix("** -> ") for entry in allowed} - own <= modules
    imported = re.findall(
        r"^(?:from|import) (bench_core\.\w+)", "".join(text for _, text in BLOCKS), flags=re.MULTILINE
    )
    assert set(imported) <= modules


def test_the_page_lists_the_parameters_that_a_metric_can_ask_for() -> None:
    listed = re.findall(r"^\| `(\w+)(?:: (?:Examples|Tensor|Step|Model|Streams|Queries))` \|", PAGE, flags=re.MULTILINE)
    assert sorted(listed) == sorted(NEEDS)


@pytest.mark.parametrize("kind", ["attack", "part", "metric", "model"])
def test_a_package_from_bench_new_is_complete(kind: str, registry: Registry, tmp_path: Path, monkeypatch) -> None:
    name = f"my_written_{kind}"
    folder = tmp_path / name.replace("_", "-")
    files = {str(path.relative_to(folder)) for path in write_package(kind, name, folder)}
    assert files >= {"pyproject.toml", "README.md", f"{name}.toml", f"{name}/__init__.py", f"tests/test_{name}.py"}
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert statuses(registered(registry, __import__(name)), name) <= {"holds", "unasked"}
    namespace: dict[str, object] = {}
    exec(compile((folder / "tests" / f"test_{name}.py").read_text(), name, "exec"), namespace)
    for test in [value for key, value in namespace.items() if key.startswith("test_") and callable(value)]:
        test()
    suite = load_suite(str(folder / f"{name}.toml"), overrides=["budgets.linf.steps=1", 'images.models=["VGG"]'])
    result = run(suite, out=tmp_path / "out", limit=2, registry=registry, executor="inline")
    assert result.complete
    assert all(np.isfinite(cell.value) for _, cells in result.tables[0].rows for cell in cells)
