"""The suite in docs/suites.md plans, and shows every kind of plot."""

import re
from pathlib import Path

from bench_core import load_suite
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.suite.find import own_suites
from bench_core.suite.model import Suite

PAGE = Path(__file__).parents[2] / "docs" / "suites.md"


def test_the_documented_suite_plans(installed: Registry, tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    (tmp_path / "example.toml").write_text(found[1])
    suite = load_suite(str(tmp_path / "example.toml"))
    resolved = resolve_suite(suite, installed)
    assert len(resolved.attacks) == 5
    assert {plot.kind for plot in suite.plots} == {
        "heatmap",
        "curves",
        "sweep",
        "pareto",
        "stacked",
        "scatter",
        "histogram",
        "maps",
    }


def test_the_reference_lists_every_key_of_a_suite() -> None:
    listed = re.findall(
        r"^\| `\[*(\w+)(?:\.LABEL)?\]*` \|", PAGE.read_text().partition("## Reference")[2], re.MULTILINE
    )
    keys = set(Suite.model_fields) - {"name", "file", "profile", "overrides"} | {"profiles"}
    suites = set(own_suites())
    assert sorted(name for name in listed if name not in suites) == sorted(keys)
