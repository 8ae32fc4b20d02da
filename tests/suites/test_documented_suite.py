"""The suite in docs/suites.md plans, and shows every kind of plot."""

import re
from pathlib import Path

from bench_core import load_suite
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite

PAGE = Path(__file__).parents[2] / "docs" / "suites.md"


def test_the_documented_suite_plans(installed: Registry, tmp_path: Path) -> None:
    found = re.search(r"## A suite with most features\n.*?```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
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
        "distances",
        "maps",
    }
