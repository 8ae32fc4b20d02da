"""A result as a data frame, an HTML table and a plot; a run in a notebook shows its rounds as HTML."""

from __future__ import annotations

import html
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bench_core import Result, UsageError, load_result, run, with_plugins
from bench_core.errors import Incomplete, Interrupted
from bench_core.notebook import NotebookView, in_notebook
from bench_core.registry import Registry
from bench_core.tables.headline import headline
from tests.submissions.conftest import changed_rows

PLOT = """
[[plots]]
kind = "heatmap"
name = "transfer"
rows = ["source"]
columns = ["target"]
where = { attack = "<b>" }
value = "transfer.success"
"""


@pytest.fixture
def result(registry: Registry, write_suite: Callable[..., str], tmp_path: Path) -> Result:
    bad = ('"PGD" = { recipe = "pgd" }', '"<b>" = { recipe = "pgd" }\n"bad" = { recipe = "bad_nan" }')
    suite = write_suite(bad, append=PLOT)
    return run(suite, out=tmp_path / "out", registry=registry, executor="inline")


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_has_every_record(result: Result, library: str) -> None:
    pytest.importorskip(library)
    frame, records = result.frame(library), result.records()
    assert type(frame).__module__.partition(".")[0] == library
    columns = list(frame.column_names if library == "pyarrow" else frame.columns)
    assert columns[0] == "metric"
    assert columns[-5:] == ["value", "low", "high", "n", "void"]
    assert set(columns) == {name for record in records for name in record}
    rows = (
        frame.to_pylist()
        if library == "pyarrow"
        else frame.to_dict("records")
        if library == "pandas"
        else frame.to_dicts()
    )
    for row, record in zip(rows, records, strict=True):
        for name, value in row.items():
            missing = value is None or (isinstance(value, float) and math.isnan(value))
            assert (record.get(name) is None) if missing else (value == record[name]), name
    assert any(record["void"] for record in records)


def test_without_a_library_the_error_says_what_to_install(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"^frame: pandas or polars or pyarrow is not installed \(try pip install pandas"
    ):
        result.frame()
    with pytest.raises(UsageError, match=r'^frame: unknown library "panda" \(did you mean "pandas"'):
        result.frame("panda")


def test_a_table_is_html_in_a_notebook_and_text_elsewhere(result: Result) -> None:
    shown = result.show("main")
    html = shown._repr_html_()
    root = ElementTree.fromstring(html)
    assert len(root.findall(".//tbody/tr")) == len(result.tables[0].rows)
    assert any("[" in (small.text or "") for small in root.iter("small")), "intervals are shown"
    assert "&lt;b&gt;" in html
    assert html == result._repr_html_() == result.show()._repr_html_()
    assert "\x1b" not in repr(shown)
    assert "void" in repr(shown)
    with pytest.raises(UsageError, match=r'unknown table "mian" \(did you mean "main"'):
        result.show("mian")


def test_a_plot_shows_itself(result: Result) -> None:
    pytest.importorskip("matplotlib")
    picture = load_result(result.folder).plot("transfer")
    (kind,) = picture._repr_mimebundle_()
    assert kind == "image/svg+xml"
    assert ElementTree.fromstring(picture._repr_mimebundle_()[kind]).tag.endswith("svg")
    assert picture.saved("png").startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r'unknown plot "transfr" \(did you mean "transfer"'):
        result.plot("transfr")


def test_a_suite_without_plots_says_so(registry: Registry, write_suite: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    bare = run(write_suite(), out=tmp_path / "out", registry=registry, executor="inline")
    with pytest.raises(UsageError, match=r"the suite has no plots$"):
        bare.plot("transfer")
    with pytest.raises(UsageError, match=r'unknown table "3" \(did you mean|unknown table "3" \(known'):
        bare.show(3)  # type: ignore[arg-type]


def test_a_run_without_any_value_is_shown(registry: Registry, write_suite: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    only = ('"PGD" = { recipe = "pgd" }', '"<b>" = { recipe = "bad_nan" }')
    made = run(write_suite(only, append=PLOT), out=tmp_path / "out", registry=registry, executor="inline")
    read = load_result(made.folder / "run.json")
    assert read.records() == load_result(made.folder).records()
    frame = read.frame("pandas")
    attacked = frame[frame["attack"] == "<b>"]
    assert len(attacked) > 0
    assert attacked["void"].notna().all()
    assert "void" in read.show()._repr_html_()
    assert b"<svg" in read.plot().saved("svg")


def test_infinite_costs_are_left_out_of_a_pareto_plot(registry: Registry, write_suite, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    averaged = PLOT.replace('rows = ["source"]\ncolumns = ["target"]', 'panels = ["source"]\nmean_over = ["target"]')
    plot = averaged.replace("heatmap", "pareto").replace('where = { attack = "<b>" }\n', "")
    plot = plot.replace("transfer.success", "transfer.at_step")
    two = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }')
    made = run(write_suite(two, append=plot), out=tmp_path / "out", registry=registry, executor="inline")
    with changed_rows(made.folder) as rows:
        for row in rows:
            if row.metric == "attack":
                row.arrays["forwards"] = np.full(len(row.images), np.inf)
    assert b"<svg" in load_result(made.folder, registry).plot().saved("svg")


class Display:
    """Stands for IPython.display: keeps what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def HTML(self, text: str) -> str:  # noqa: N802 - IPython's name
        return text

    def display(self, text: str, display_id: bool) -> Display:
        assert display_id
        return self

    def update(self, text: str) -> None:
        self.shown.append(text)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Display:
    fake: Any = Display()
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    return fake


def test_a_run_in_a_notebook_shows_its_rounds(
    display: Display, registry: Registry, write_suite: Callable[..., str], tmp_path: Path, monkeypatch, capfd
) -> None:
    monkeypatch.setattr("bench_core.run_suite.in_notebook", lambda: True)
    results: list[Result] = []
    run(write_suite(), out=tmp_path / "out", registry=registry, executor="inline", on_round=results.append)
    pages = display.shown
    assert {5, 10, 12} <= {len(result.selected) for result in results}, "the user's function is called, too"
    seen = [count for count in (5, 10, 12) if any(f"<p>{count} of 12 images</p>" in page for page in pages)]
    assert seen == [5, 10, 12], "a table after each micro-batch"
    assert "<progress" in pages[0]
    assert "attacks: done in" in pages[-1]
    assert not any("\x1b" in page or "\r" in page for page in pages)
    assert capfd.readouterr() == ("", "")


def test_a_run_with_a_baseline_shows_its_headline_above_the_table(
    display: Display, registry: Registry, write_suite: Callable[..., str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("bench_core.run_suite.in_notebook", lambda: True)
    suite = write_suite(
        ("mean = true\n", 'mean = true\nbaseline = { attack = "PGD" }\n'),
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"M<I" = { recipe = "mi" }'),
    )
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    shown = display.shown[-1]
    compared = html.unescape(shown[shown.index("<pre>") + len("<pre>") : shown.index("</pre>")])
    assert compared.splitlines() == headline(result.tables)
    assert "M<I" in compared
    assert "M<I" not in shown
    assert shown.index("</pre>") < shown.index("<table")


def test_outside_a_notebook_nothing_is_shown(
    display: Display, registry: Registry, write_suite: Callable[..., str], tmp_path: Path
) -> None:
    assert not in_notebook()
    run(write_suite(), out=tmp_path / "out", registry=registry, executor="inline")
    assert not display.shown


def test_the_name_of_a_stage_is_no_markup(display: Display) -> None:
    with NotebookView().stage("<i>", 2) as advance:
        advance(1)
        advance(1)
    assert "<i>" not in "".join(display.shown)


def test_a_mistake_in_a_notebook_is_a_line_and_no_traceback() -> None:
    with pytest.raises(UsageError) as raised:
        load_result("nowhere")
    assert raised.value._render_traceback_() == [f"bench: {raised.value}"]


def test_a_stop_in_a_notebook_is_a_line_that_says_what_is_kept() -> None:
    stopped = Interrupted()
    assert stopped._render_traceback_() == [
        "bench: interrupted; finished results are stored, run the same cell to continue"
    ]
    stopped.add_note("results/mine has the result of the first 5 of 12 images")
    assert "first 5 of 12 images, run the same cell" in stopped._render_traceback_()[0]
    assert Incomplete("disk full")._render_traceback_()[0].startswith("bench: disk full; finished results are stored")


def test_a_module_beside_a_notebook_is_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the file changes the digest of its recipe, so that no earlier result is used."""
    source = """
from bench_core.hookspecs import hookimpl
from bench_core.types import MetricRecipe
def mine(): ...
@hookimpl
def bench_metrics():
    return {"mine": MetricRecipe(mine, "a metric")}
"""
    path = tmp_path / "mine_in_a_notebook.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    codes = []
    for text in (source, source + "# changed\n"):
        path.write_text(text)
        sys.modules.pop(path.stem, None)
        importlib.invalidate_caches()
        registry = with_plugins(importlib.import_module(path.stem))
        offer = registry.find("metrics", "mine", "", "")
        assert offer.origin.package == path.stem
        codes.append(offer.code)
    sys.modules.pop(path.stem, None)
    assert codes[0] != codes[1]
    assert registry.find("attacks", "pgd", "", "")
