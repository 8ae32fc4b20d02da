"""A result is stale if the code that it depends on has changed, and not otherwise."""

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import code_digest as closure
from bench_core.plugin_source import installed_versions
from bench_core.registry import discover

FILES = {
    "__init__.py": "",
    "near.py": "from .sub.far import far\n",
    "lazy.py": "def build():\n    from . import near\n",
    "unrelated.py": "x = 1\n",
    "builds_on.py": "from bench_attacks.gradient_attack import GradientAttack\nimport json\n",
    "dynamic.py": "import importlib\nimportlib.import_module('.' + 'near', __package__)\n",
    "sub/__init__.py": "",
    "sub/far.py": "far = 1\n",
}


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write the package `traced` and return a function from a module of it to its digest, as it is on disk now."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, content in FILES.items():
        file = tmp_path / "traced" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def fresh(module: str) -> str:
        for cached in (closure._home, closure._file, closure._read):
            cached.cache_clear()
        return closure.closure_digest([f"traced.{module}"])

    yield fresh
    for cached in (closure._home, closure._file, closure._read):
        cached.cache_clear()


@pytest.mark.parametrize("module", ["near", "lazy", "sub.far"])
@pytest.mark.parametrize("changed", ["sub/far.py", "sub/__init__.py", "__init__.py", "unrelated.py"])
def test_a_change_counts_where_it_is_imported_directly_or_not(digests, tmp_path: Path, module: str, changed: str):
    before = digests(module)
    (tmp_path / "traced" / changed).write_text("changed = True\n")
    assert (digests(module) != before) is (changed != "unrelated.py")


def test_a_plugin_that_builds_on_ours_depends_on_it_and_on_no_library(digests):
    digests("builds_on")
    names = set(closure.source_files(["traced.builds_on"]))
    assert {"traced", "traced.builds_on", "bench_attacks.gradient_attack", "bench_attacks.loss"} <= names
    assert not {name for name in names if name.partition(".")[0] not in {"traced", "bench_attacks"}}


def test_nothing_is_run_to_be_read(digests):
    digests("lazy")
    assert not [name for name in sys.modules if name.startswith("traced")]


@pytest.mark.parametrize("module", ["dynamic", "missing"])
def test_a_module_that_cannot_be_traced_is_reported(digests, module: str):
    with pytest.raises(closure.Untraceable):
        digests(module)


def test_results_of_one_metric_do_not_depend_on_another():
    registry = discover()
    codes = {name: registry.find("metrics", name, "", "").code for name in ("transfer", "interaction", "pictures")}
    assert len(set(codes.values())) == len(codes)


def test_a_metric_depends_on_the_versions_of_the_distributions_that_it_names(monkeypatch: pytest.MonkeyPatch):
    def code() -> str:
        return discover().find("metrics", "persistence", "", "").code

    before, others = code(), discover().find("metrics", "transfer", "", "").code
    versions = importlib.metadata.version
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0" if name == "pillow" else versions(name))
    assert code() != before
    assert discover().find("metrics", "transfer", "", "").code == others
    assert installed_versions(["no-such-distribution"]) == ["no-such-distribution"]


def test_a_recipe_that_cannot_be_traced_depends_on_its_whole_plugin():
    offer = discover().find("attacks", "torchattacks:PGD", "", "")
    assert offer.code == offer.origin.source
