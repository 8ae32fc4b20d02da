"""The headline: every comparison with a baseline as a line, with its interval along a common axis."""

import math
from dataclasses import replace

import pytest

from bench_core.tables.headline import PLOT_WIDTH, comparisons, headline, headline_table
from bench_core.tables.table import Table, TableCell

PLAIN = TableCell(0.5, 0.4, 0.6, 50)
GAPS = {"ResNet": (0.031, 0.01, 0.052), "VGG": (-0.02, -0.05, 0.01), "SENet": (0.12, 0.08, 0.15)}


def table(gaps: dict[str, tuple[float, float, float]], percent: bool = True, over: str = "black-box targets") -> Table:
    rows = [(("PGD",), (PLAIN, TableCell()))]
    rows += [
        ((name,), (PLAIN, TableCell(value, low, high, 50, signed=True))) for name, (value, low, high) in gaps.items()
    ]
    return Table("main", "A title", ("attack", "mean", "mean - PGD"), 1, tuple(rows), percent, (), over)


def test_the_rows_with_a_difference_are_compared_the_largest_first() -> None:
    assert [row.name for row in comparisons(table(GAPS))] == ["SENet", "ResNet", "VGG"]
    assert comparisons(table({})) == []


def test_the_first_table_with_a_comparison_makes_the_headline() -> None:
    first, second = table({}), table(GAPS)
    assert headline_table([first, second]) is second
    assert headline([first]) == []


def test_a_line_has_the_difference_and_its_interval_in_points() -> None:
    title, *lines = headline([table(GAPS)], width=40)
    assert title == "A title: mean - PGD over black-box targets, in percentage points, with 95% intervals"
    *lines, note = lines
    assert lines == ["SENet   +12.0 [+8.0, +15.0]", "ResNet    +3.1 [+1.0, +5.2]", "VGG       -2.0 [-5.0, +1.0]"]
    assert note == "(no plot below 41 columns)"
    assert headline([table(GAPS, over="")])[0] == "A title: mean - PGD, in percentage points, with 95% intervals"
    assert "points" not in headline([table(GAPS, percent=False)])[0]


def test_intervals_lie_along_one_axis_from_the_lowest_to_the_highest_end() -> None:
    _, *lines, axis = headline([table(GAPS)], width=100)
    start = len("ResNet") + 2
    plots = [line[start : start + PLOT_WIDTH] for line in lines]

    def place(value: float) -> int:
        return round((value + 0.05) / 0.2 * (PLOT_WIDTH - 1))

    for plot, (value, low, high) in zip(plots, (GAPS["SENet"], GAPS["ResNet"], GAPS["VGG"]), strict=True):
        assert plot[place(value)] == "●"
        assert [index for index, mark in enumerate(plot) if mark in "─┼●"] == [*range(place(low), place(high) + 1)]
        assert plot[place(0.0)] in "│┼"
    assert axis[start:].startswith("-5.0")
    assert axis.rstrip().endswith("+15.0")
    assert axis[start + place(0.0)] == "0"


@pytest.mark.parametrize(("width", "columns"), [(40, 0), (41, 12), (60, 31), (61, 32), (62, 33), (200, 33)])
def test_the_plot_is_as_wide_as_there_is_room_or_a_line_says_from_which_width(width: int, columns: int) -> None:
    _title, *lines, last = headline([table(GAPS)], width)
    assert all(len(line) <= width for line in [*lines, last])
    assert any("●" in line for line in lines) == (columns > 0)
    if columns:
        assert len(last.rstrip()) == len("ResNet") + 2 + columns
    else:
        assert last == "(no plot below 41 columns)"


@pytest.mark.parametrize("gap", [(0.0, 0.0, 0.0), (0.1, math.nan, math.nan)])
def test_a_difference_without_spread_or_interval_is_a_point(gap: tuple[float, float, float]) -> None:
    _, line, _ = headline([table({"IR": gap})], width=100)
    assert line.count("●") == 1
    assert "─" not in line


def with_decisions(shown: Table) -> Table:
    states = iter(["decided at 106", "undecided, ~1200 more", "tied at 88"])
    rows = tuple(
        (key, tuple(replace(cell, decision=next(states)) if cell.signed else cell for cell in cells))
        for key, cells in shown.rows
    )
    return replace(shown, rows=rows)


@pytest.mark.parametrize("width", [40, 49, 50, 63, 64, 66, 80, 100, 200])
def test_decisions_stand_at_the_end_of_lines_that_fit(width: int) -> None:
    _, *lines = headline([with_decisions(table(GAPS))], width)
    for name, decision in (("SENet", "tied at 88"), ("ResNet", "decided at 106"), ("VGG", "undecided, ~1200 more")):
        (line,) = [line for line in lines if line.startswith(name)]
        assert line.endswith(f"  {decision}")
    assert all(len(line) <= width for line in lines)
    assert any("[" in line for line in lines) == (width >= 50), "the interval is left out of a narrow line"
    assert any("●" in line for line in lines) == (width >= 64)
    assert lines[-1].startswith("(no plot below 64 columns)") == (width < 64)


def test_a_table_with_decisions_makes_the_headline() -> None:
    first, second = table({"other": (0.0, -0.1, 0.1)}), with_decisions(table(GAPS))
    assert headline_table([first, second]) is second
