"""The suite in docs/suites.md is valid and has every kind of plot."""

import re
from pathlib import Path

from bench_core import load_suite
from bench_core.registry import Registry
from bench_core.run import make_planner

PAGE = Path(__file__).parents[2] / "docs" / "suites.md"


def test_the_documented_suite_plans(installed: Registry, tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    (tmp_path / "example.toml").write_text(found[1])
    suite = load_suite(str(tmp_path / "example.toml"))
    planner = make_planner(suite, installed)
    assert len(planner.attacks) == 5
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
