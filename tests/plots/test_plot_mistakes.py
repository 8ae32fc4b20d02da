"""Mistakes in plots: each is reported, and before the run where it can be."""

import subprocess
import sys
from dataclasses import replace

import pytest

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_core.plots import write_plots
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.run_suite import resolve_suite

from .conftest import EVERY_KIND


@pytest.mark.parametrize(
    ("name", "less", "message"),
    [
        ("curves", {"panels": ["source"]}, "they differ in target"),
        ("heatmap", {"panels": []}, "share a cell"),
        ("maps", {"where": {}}, "share the panel"),
        ("scatter", {"panels": ["source"]}, "share the panel"),
        ("stacked", {"parts": ["budget"]}, "share a part"),
    ],
)
def test_scores_that_a_plot_does_not_distinguish_are_an_error(
    result: Result, registry: Registry, name: str, less: dict, message: str
) -> None:
    plots = [plot.model_copy(update=less) for plot in result.suite.plots if plot.name == name]
    changed = replace(result, suite=result.suite.model_copy(update={"plots": plots}))
    with pytest.raises(UsageError) as caught:
        write_plots(changed, registry)
    assert message in str(caught.value.faults[0])
    assert "plots.0" in str(caught.value.faults[0])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"relation": "grey-box"}, "no score transfer.success has relation = grey-box (found relation = "),
        ({"order": 1}, "no score transfer.success has order = 1 (they have no order)"),
    ],
)
def test_a_plot_without_a_score_is_an_error_and_the_others_are_drawn(
    result: Result, registry: Registry, where: dict, message: str
) -> None:
    plots = [plot for plot in result.suite.plots if plot.name in ("heatmap", "curves")]
    plots[0] = plots[0].model_copy(update={"where": where})
    changed = replace(result, suite=result.suite.model_copy(update={"plots": plots}))
    drawn = [result.folder / "plots" / f"{name}.png" for name in ("heatmap", "curves")]
    for path in drawn:
        path.unlink(missing_ok=True)
    with pytest.raises(UsageError) as caught:
        write_plots(changed, registry)
    assert [path.is_file() for path in drawn] == [False, True]
    (fault,) = caught.value.faults
    assert message in str(fault)
    assert "plots.0" in str(fault)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "maps"', 'kind = "map"', "maps"),
        ('value = "round.map"', 'value = "round.maps"', "expected one of round.map, round.standard_error"),
        ('value = "seen"', 'value = "sen"', 'did you mean "seen"'),
        ('x = "strength"\nmean', 'x = "strenght"\nmean', 'unknown dimension "strenght"'),
        ('x = "strength"\nmean', "mean", "plots.3"),
        ('name = "sweep"', 'name = "curves"', 'another plot is named "curves"'),
        ("images = 2", "bins = 3", "bins"),
        ('panels = ["source", "target"]', 'panels = ["source", "target", "attack"]', "panels"),
    ],
)
def test_mistakes_in_a_plot_are_reported_before_the_run(registry: Registry, write_suite, old, new, message) -> None:
    assert EVERY_KIND.count(old) == 1
    with pytest.raises(UsageError) as caught:
        resolve_suite(load_suite(write_suite(append=EVERY_KIND.replace(old, new))), registry)
    assert message in "\n".join(map(str, caught.value.faults))


def test_without_matplotlib_one_line_names_what_to_install(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="plots") as caught:
        write_plots(result)
    (fault,) = caught.value.faults
    assert 'pip install "adversarial-bench[plots]"' in str(fault)
    assert "\n" not in str(fault)


def test_matplotlib_is_imported_only_on_demand() -> None:
    code = "import sys, bench_core, bench_core.cli, bench_core.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
