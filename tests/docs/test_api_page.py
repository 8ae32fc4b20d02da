"""The examples of docs/api.md run from top to bottom, and each public module has one or is a module of hooks."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()
WITHOUT_EXAMPLE = {"hookspecs", "recipe_files", "library_index"}  # docs/plugins.md runs them


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/api.md", "exec"), names)


def test_every_public_module_has_an_example() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (allowed,) = [each["ignore_imports"] for each in contracts if "ignore_imports" in each]
    public = {line.rpartition(".")[2] for line in allowed} - WITHOUT_EXAMPLE
    assert public
    for name in public:
        assert re.search(rf"^from bench_core\.{name} import", PAGE, flags=re.MULTILINE), name
