"""The headline of a run: every comparison with a baseline as a line of text, with a forest plot of the differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .sheet import interval_text, number
from .table import Table, TableCell

PLOT_WIDTH = 33  # characters
LEAST_PLOT = 12  # a plot narrower than this says nothing


@dataclass(frozen=True)
class Comparison:
    """One row of a table against its baseline.

    Attributes:
        labels: The labels of the row.
        cell: The mean difference, with its paired interval.
    """

    labels: tuple[str, ...]
    cell: TableCell

    @property
    def name(self) -> str:
        return " ".join(self.labels)


def comparisons(table: Table) -> list[Comparison]:
    """Return every row that a table sets against its baseline, the largest difference first."""
    rows = [Comparison(labels, cells[-1]) for labels, cells in table.rows if cells and cells[-1].signed]
    return sorted(rows, key=lambda row: -row.cell.value)


def headline_table(tables: Sequence[Table]) -> Table | None:
    """Return the table whose comparisons are decided, or else the first that has any; None if no table has any."""
    with_any = [table for table in tables if comparisons(table)]
    decided = [table for table in with_any if any(row.cell.decision for row in comparisons(table))]
    return next(iter([*decided, *with_any]), None)


def headline(tables: Sequence[Table], width: int = 100) -> list[str]:
    """Return the comparisons of a run's first table with a baseline as lines of text.

    Args:
        tables: The run's tables.
        width: The number of characters of a line.

    Returns:
        A heading, a line for each comparison (its row, where its interval lies, its mean difference with its interval,
        and whether it is decided), and the axis. Empty if no table has a baseline. A line that is too narrow for the
        plot has none, which the last line says; a still narrower one with a decision has no interval.
    """
    table = headline_table(tables)
    if table is None:
        return []
    rows = comparisons(table)
    names, numbers = [row.name for row in rows], [_numbers(row.cell, table.percent) for row in rows]
    decisions = [f"  {row.cell.decision}" if row.cell.decision else "" for row in rows]
    name_width, with_interval = max(map(len, names)), max(map(len, numbers))
    left = width - name_width - max(map(len, decisions)) - 4
    if any(decisions) and left + 2 < with_interval:  # the decision says more than the interval
        numbers = [number(row.cell.value, table.percent, True) for row in rows]
    number_width, room = max(map(len, numbers)), left - with_interval
    plots, note = [""] * (len(rows) + 1), [f"(no plot below {width + LEAST_PLOT - room} columns)"]
    if room >= LEAST_PLOT:
        plots, note = _forest([row.cell for row in rows], table.percent, min(PLOT_WIDTH, room)), []
    lines = [
        f"{name:<{name_width}}  {plot}{'  ' if plot else ''}{text:>{number_width}}{decision}"
        for name, plot, text, decision in zip(names, plots[1:], numbers, decisions, strict=True)
    ]
    axis = [f"{'':<{name_width}}  {plots[0]}"] if plots[0] else []
    return [table.compared, *lines, *axis, *note]


def _numbers(cell: TableCell, percent: bool) -> str:
    return f"{number(cell.value, percent, True)} {interval_text(cell, percent)}".strip()


def _forest(cells: Sequence[TableCell], percent: bool, width: int) -> list[str]:
    """Return the axis, and for each cell its interval and value along it. A line marks zero."""
    ends = [end for cell in cells for end in (cell.value, cell.low, cell.high) if not math.isnan(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    span = (high - low) or 1.0

    def place(value: float) -> int:
        return round((value - low) / span * (width - 1))

    zero = place(0.0)
    plots = []
    for cell in cells:
        marks = [" "] * width
        marks[zero] = "│"
        if not math.isnan(cell.low):
            for index in range(place(cell.low), place(cell.high) + 1):
                marks[index] = "─" if index != zero else "┼"
        marks[place(cell.value)] = "●"
        plots.append("".join(marks))
    left, right = number(low, percent, True), number(high, percent, True)
    axis = list(f"{left}{right:>{width - len(left)}}")
    if len(left) < zero < width - len(right):
        axis[zero] = "0"
    return ["".join(axis), *plots]
