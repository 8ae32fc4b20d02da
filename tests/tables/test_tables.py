"""Tables: pivoting, means over black-box targets, paired differences, and labels that are inert in every format."""

import csv
import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from bench_core.errors import UsageError
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.scored import LabelledScore, Scores
from bench_core.statistics import bootstrap, proportion
from bench_core.suite.outputs import ReferenceEntry, TableEntry
from bench_core.tables.formats import FORMATS, render
from bench_core.tables.headline import headline
from bench_core.tables.pivot import pivot
from bench_core.tables.sheet import Column, Sheet, Style
from bench_core.tables.table import Table, TableCell
from bench_core.tables.views import beside_published
from bench_core.types import Score

DRAW = np.random.default_rng(3)
SHARES = {
    ("PGD", "X"): 0.3, ("PGD", "Y"): 0.5, ("PGD", "S"): 0.9, ("IR", "X"): 0.5, ("IR", "Y"): 0.7, ("IR", "S"): 0.8,
}  # fmt: skip
OUTCOMES = {key: DRAW.random(40) < share for key, share in SHARES.items()}


ALL = ImageSet.of("selected", range(40))


def scores() -> Scores:
    labelled = []
    for (attack, target), fooled in OUTCOMES.items():
        labels = {
            "source": "S",
            "attack": attack,
            "target": target,
            "relation": "white-box" if target == "S" else "black-box",
        }
        score = proportion("success", fooled)
        labelled.append(LabelledScore("transfer.success", Labels.of(labels), score, images=ALL))
    return Scores(labelled)


def table(**changes) -> TableEntry:
    given = {
        "name": "t",
        "rows": ["source", "attack"],
        "columns": ["target"],
        "value": "transfer.success",
        "format": "percent",
    }
    return TableEntry(**{**given, **changes})


def test_a_pivot_has_each_score_in_its_place() -> None:
    pivoted = pivot(scores(), table(best="max", mean=True, baseline={"attack": "PGD"}), "title", None, "file")
    assert pivoted.header == ("source", "attack", "X", "Y", "S", "mean", "mean - PGD")
    (_, pgd), (key, ir) = pivoted.rows
    assert key == ("S", "IR")
    assert [cell.value for cell in ir[:3]] == [OUTCOMES["IR", t].mean() for t in "XYS"]
    assert [cell.best for cell in ir[:3]] == [OUTCOMES["IR", t].mean() >= OUTCOMES["PGD", t].mean() for t in "XYS"]
    assert [cell.white_box for cell in ir[:3]] == [False, False, True]
    black_box = (OUTCOMES["IR", "X"].astype(float) + OUTCOMES["IR", "Y"]) / 2
    baseline = (OUTCOMES["PGD", "X"].astype(float) + OUTCOMES["PGD", "Y"]) / 2
    assert ir[3].value == pytest.approx(black_box.mean())
    assert (ir[3].low, ir[3].high) == bootstrap(black_box)
    assert ir[4].value == pytest.approx((black_box - baseline).mean())
    assert (ir[4].low, ir[4].high) == bootstrap(black_box - baseline)
    assert math.isnan(pgd[4].value)


@pytest.mark.parametrize(
    ("known", "columns", "over", "note"),
    [
        ({"target", "relation"}, ["target"], "black-box targets", "black-box targets of both, "),
        ({"target"}, ["target"], "all columns", "all columns of both, "),
        (set(), [], "", ""),
    ],
)
def test_a_difference_names_targets_only_where_there_are_black_box_ones(
    known: set[str], columns: list[str], over: str, note: str
) -> None:
    """Attacks on the sources themselves, as in robust_accuracy, have none."""
    kept = [score for score in scores() if "target" in known or score.labels["target"] == "X"]
    without = [replace(score, labels=score.labels.without({"target", "relation"} - known)) for score in kept]
    pivoted = pivot(Scores(without), table(columns=columns, baseline={"attack": "PGD"}), "title", None, "file")
    assert pivoted.over == over
    assert f"difference: paired by image, {note}95% bootstrap interval" in pivoted.notes
    heading = f"title: mean - PGD{over and f' over {over}'}, in percentage points, with 95% intervals"
    assert headline([pivoted])[0] == heading


def test_two_scores_in_one_cell_are_an_error_that_names_the_labels() -> None:
    with pytest.raises(UsageError, match="differ in attack, relation, target"):
        pivot(scores()[2:4], table(rows=["source"], columns=[]), "", None, "file")


def test_where_selects_scores_by_their_labels() -> None:
    pivoted = pivot(scores(), table(where={"attack": "IR"}), "", None, "file")
    assert [key for key, _ in pivoted.rows] == [("S", "IR")]


def test_a_void_is_shown_with_its_reason_and_never_averaged() -> None:
    labels = {"source": "S", "attack": "IR", "target": "X", "relation": "black-box"}
    void = LabelledScore(
        "transfer.*", Labels.of(labels), Score("", math.nan, math.nan, math.nan, 0), "raised ValueError"
    )
    others = [s for s in scores() if s.labels["attack"] == "PGD" or s.labels["target"] == "Y"]
    pivoted = pivot(Scores([void, *others]), table(mean=True), "", None, "file")
    cells = dict(pivoted.rows)["S", "IR"]
    assert cells[pivoted.header.index("X") - 2].void == "raised ValueError"
    assert math.isnan(cells[-1].value)
    assert "void" in render(pivoted)
    assert "raised ValueError" in render(pivoted)


def test_published_values_are_shown_beside_the_measured_ones() -> None:
    published = "table,source,attack,target,percent\nt1,S,IR,X,12.5\nt2,S,IR,X,99\n"
    reference = ReferenceEntry(file="published.csv", value="percent", scale=0.01, where={"table": "t1"})
    pivoted = pivot(scores(), table(reference=reference), "", published, "file")
    assert dict(pivoted.rows)["S", "IR"][0].reference == 0.125
    assert "(12.5)" in render(pivoted)
    assert dict(pivoted.rows)["S", "IR"][1].reference is None


def test_the_note_of_published_values_is_shown_with_them_in_every_format_that_has_notes() -> None:
    published = "source,attack,target,percent\nS,IR,X,12.5\n"
    reference = ReferenceEntry(file="p.csv", value="percent", scale=0.01, note="IR is of another gradient")
    pivoted = pivot(scores(), table(reference=reference), "", published, "file")
    assert "published: IR is of another gradient" in pivoted.notes
    for name in set(FORMATS) - {"csv"}:  # a CSV file has no notes
        assert "IR is of another gradient" in render(pivoted, name), name
    assert "published: IR is of another gradient" in beside_published(pivoted).notes
    none = published.replace("S,IR", "another network,IR")
    notes = pivot(scores(), table(reference=reference), "", none, "f").notes
    assert not any("another gradient" in note for note in notes)


HOSTILE = ["<script>alert(1)</script>", "a|b", "=cmd|' /C calc'!A0", "\033[31mred", "line\nbreak\r", "::error::x",
           "$x_1$ & 100% #1 \\x",
           "[link](http://x)", "*bold* `code`", "\u202eevil", "@SUM(A1)", "-1+1"]  # fmt: skip


@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.parametrize("name", FORMATS)
def test_labels_are_inert_in_every_format(name: str, label: str) -> None:
    cell = TableCell(0.5, 0.4, 0.6, 10)
    pivoted = Table("t", label, ("source", label), 1, (((label,), (cell,)),), True, (label,))
    text = render(pivoted, name, Style(intervals=True))
    assert "\033" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    lines = text.splitlines()
    if name == "markdown":
        assert "<script" not in text
        rows = [line for line in lines if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
        assert not re.search(r"(?<!\\)[*`\[\]$]", text.replace("**", ""))
    if name == "csv":
        for row in csv.reader(io.StringIO(text)):
            assert len(row) == 4
            assert all(not entry.startswith(("=", "+", "-", "@")) for entry in row)
    if name == "latex":
        assert not re.search(r"(?<!\\)[%#]", text)
        assert text.count(r"\begin{") == text.count(r"\end{")
    if name == "json":
        assert json.loads(text)["title"] == label
    assert not any(line.lstrip().startswith("::") for line in lines)


def test_every_format_shows_the_numbers() -> None:
    pivoted = pivot(scores(), table(best="max"), "title", None, "file")
    expected = f"{100 * OUTCOMES['IR', 'X'].mean():.1f}"
    for name in ("terminal", "markdown", "latex"):
        assert expected in render(pivoted, name)
    rows = list(csv.DictReader(io.StringIO(render(pivoted, "csv", Style(intervals=True)))))
    assert float(rows[1]["X"]) == pytest.approx(OUTCOMES["IR", "X"].mean())
    assert float(rows[1]["X low"]) < float(rows[1]["X"]) < float(rows[1]["X high"])
    assert "\033[1m" in render(pivoted, style=Style(bold=True))


def test_an_infinite_number_is_printed_in_every_format() -> None:
    cells = (TableCell(math.inf, 0.5, math.inf, 8), TableCell(math.nan))
    table = Table("main", "Distances", ("attack", "A", "B"), 1, ((("PGD",), cells),), False, ())
    texts = {name: render(table, name, Style(intervals=True)) for name in FORMATS}
    assert "∞ [0.5, ∞]" in texts["terminal"]
    assert "∞" in texts["markdown"]
    assert "∞" in texts["html"]
    assert r"$\infty$" in texts["latex"]
    assert "PGD,inf,0.5,inf,,," in texts["csv"]
    assert (first := json.loads(texts["json"])["rows"][0]["cells"][0])["value"] == first["high"] == "inf"
    assert "NaN" not in texts["json"]


def test_long_remarks_stand_below_a_table_in_a_terminal_and_in_it_elsewhere() -> None:
    columns = (Column("attack"), Column("flags", remarks=True))
    rows = (("PGD", "W: a long warning"), ("IR", ""), ("MI", "W: another"), ("NI", "W: a long warning"))
    sheet = Sheet("Attacks", columns, rows, ("a note",))
    lines = render(sheet).splitlines()
    assert [line.split() for line in lines if line.startswith(("PGD", "IR", "MI", "NI"))] == [
        ["PGD", "[1]"], ["IR"], ["MI", "[2]"], ["NI", "[1]"],
    ]  # fmt: skip
    assert [line.strip() for line in lines[-3:]] == ["a note", "[1] W: a long warning", "[2] W: another"]
    assert render(sheet, "csv").count("W: a long warning") == 2
