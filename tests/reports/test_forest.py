"""The forest plot: the headline's rows in order, at places that are true to their values."""

import math
import re
from pathlib import Path

import pytest

from bench_core import load_suite, run
from bench_core.reports.page.forest import DRAWING, LONGEST_NAME, MOST_ROWS, MOST_TICKS, forest
from bench_core.reports.page.page import run_page
from bench_core.tables.table import Table, TableCell


def table(*cells: TableCell, percent: bool = True, names: tuple[str, ...] = ()) -> Table:
    rows = tuple(((names[i] if names else f"row {i}",), (cell,)) for i, cell in enumerate(cells))
    return Table("main", "Main", ("attack", "difference"), 1, rows, percent, ())


def difference(value: float, low: float = math.nan, high: float = math.nan) -> TableCell:
    return TableCell(value, low, high, 100, signed=True)


def test_places_are_linear_in_the_values_and_rows_are_sorted() -> None:
    drawn = forest([table(difference(-0.1, -0.2, 0.0), difference(0.2, 0.1, 0.3))])
    assert drawn
    assert [row.name for row in drawn.rows] == ["row 1", "row 0"]
    unit = DRAWING / 0.5
    assert drawn.zero == pytest.approx(drawn.left + 0.2 * unit)
    for row, value, low, high in zip(drawn.rows, (0.2, -0.1), (0.1, -0.2), (0.3, 0.0), strict=True):
        assert (row.value, row.low, row.high) == pytest.approx([drawn.zero + unit * x for x in (value, low, high)])
    assert [(tick.text, tick.x) for tick in drawn.ticks] == [
        (text, pytest.approx(drawn.zero + unit * value))
        for text, value in (("-20", -0.2), ("-10", -0.1), ("0", 0), ("+10", 0.1), ("+20", 0.2), ("+30", 0.3))
    ]
    assert drawn.rows[0].numbers == "+20.0 [+10.0, +30.0]"


@pytest.mark.parametrize("values", [(0.0,), (1e-7, -1e-9), (123456.0,), (-0.3, -0.2), (0.1, 7e5)])
def test_every_axis_has_zero_and_few_ticks(values: tuple[float, ...]) -> None:
    drawn = forest([table(*map(difference, values), percent=False)])
    assert drawn
    assert "0" in [tick.text for tick in drawn.ticks]
    assert len(drawn.ticks) <= MOST_TICKS
    places = [tick.x for tick in drawn.ticks] + [row.value for row in drawn.rows]
    assert all(drawn.left <= place <= drawn.left + DRAWING for place in places)
    assert all(row.low is None for row in drawn.rows), "no interval is drawn where there is none"


def test_without_a_baseline_there_is_no_plot() -> None:
    assert forest([]) is None
    assert forest([table(TableCell(0.5))]) is None
    assert forest([table(difference(math.nan))]) is None


def test_many_rows_and_long_names_are_cut() -> None:
    drawn = forest([table(*[difference(i / 100) for i in range(MOST_ROWS + 3)], names=("x" * 99,) * (MOST_ROWS + 3))])
    assert drawn
    assert (len(drawn.rows), drawn.left_out) == (MOST_ROWS, 3)
    assert {len(row.name) for row in drawn.rows} == {LONGEST_NAME}
    assert drawn.rows[0].full_name == "x" * 99


def test_a_phone_shows_the_drawing_beside_names_of_usual_length() -> None:
    drawn = forest([table(difference(0.1, 0.0, 0.2), difference(-0.3), names=("linf ResNet-S MI", "VGG"))])
    assert drawn
    assert drawn.left >= 8 + 16 * 6.5, "the names end before it"
    assert drawn.left + DRAWING <= 430
    assert drawn.numbers_at > drawn.left + DRAWING
    long = forest([table(difference(0.1), names=("x" * LONGEST_NAME,))])
    assert long
    assert long.left > drawn.left + 19 * 6.5


def test_the_page_begins_with_the_headline(write_suite, registry, tmp_path: Path) -> None:
    suite = write_suite(
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"<b>MI" = { recipe = "mi" }'),
        ("mean = true", 'mean = true\nbaseline = { attack = "PGD" }'),
        ("eps = 0.1", 'eps = "16/255"'),
    )
    result = run(load_suite(suite), out=tmp_path / "results", executor="inline", registry=registry)
    text = run_page(result.folder, registry, gallery=0)
    svg = text[text.index("<svg") : text.index("</svg>")]
    assert text.index("<svg") < text.index("<table")
    assert "&lt;b&gt;MI" in svg
    assert "<b>" not in svg
    assert re.search(r"[+-]\d+\.\d \[[+-]\d", svg)
    assert "eps 16/255, 4 steps" in text


def test_the_page_states_the_decisions(write_suite, registry, tmp_path: Path) -> None:
    suite = write_suite(
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }'),
        ('targets = ["A", "B"]', 'targets = ["B"]'),
        ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'),
        ("mean = true", 'mean = true\nbaseline = { attack = "PGD" }'),
        append="[decide]\n",
    )
    result = run(load_suite(suite), out=tmp_path / "results", executor="inline", registry=registry, warn=False)
    text = run_page(result.folder, registry, gallery=0)
    (decision,) = result.decisions.each
    assert decision.state == "undecided"
    svg = text[text.index("<svg") : text.index("</svg>")]
    assert f"] · {decision}</text>" in svg
    assert "<dt>Comparisons</dt><dd>1 undecided</dd>" in text
    assert f"<li>undecided: A MI ({decision.needed} more images)</li>" in text


def test_a_run_without_a_baseline_has_no_headline(write_suite, registry, tmp_path: Path) -> None:
    folder = run(load_suite(write_suite()), out=tmp_path / "results", executor="inline", registry=registry).folder
    text = run_page(folder, registry, gallery=0)
    assert "<svg" not in text
    assert "eps 0.1, 4 steps" in text
