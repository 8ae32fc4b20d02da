"""The headline of a run as a forest plot: every difference from a baseline, with its interval, as inline SVG.

The page draws it from these places, so it needs no matplotlib, follows the page's colours and can be searched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import one_line
from ...tables.headline import comparisons, headline_table
from ...tables.sheet import interval_text, number
from ...tables.table import Table, TableCell

MOST_ROWS = 40
LONGEST_NAME = 36  # characters
CHARACTER = 7.5  # the width of one, at most about, in units of the picture
MARGIN = 8  # before the names
DRAWING = 260.0  # the width in which the differences are drawn: a phone shows it beside names of usual length
GAP = 20  # between the names, the drawing and the numbers
ROW_HEIGHT = 22
MOST_TICKS = 6


@dataclass(frozen=True)
class ForestRow:
    """One comparison.

    Attributes:
        name: The labels of the row, cut to `LONGEST_NAME` characters.
        full_name: The labels of the row.
        numbers: The difference, its interval and whether it is decided, as text.
        y: Where the row lies, from the top.
        value: Where the difference lies, from the left.
        low: Where its interval begins; None if there is no interval.
        high: Where its interval ends.
    """

    name: str
    full_name: str
    numbers: str
    y: float
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Tick:
    """A number on the axis, and where it lies."""

    text: str
    x: float


@dataclass(frozen=True)
class Forest:
    """A forest plot. Rows are sorted, the largest difference first.

    Attributes:
        title: What is compared.
        rows: The rows.
        ticks: The axis.
        zero: Where the line at zero lies.
        bottom: Where the axis lies, from the top.
        left: Where the drawing begins, after the longest name.
        numbers_at: Where the numbers begin, from the left.
        width: The width of the picture.
        left_out: How many rows are not shown.
    """

    title: str
    rows: tuple[ForestRow, ...]
    ticks: tuple[Tick, ...]
    zero: float
    bottom: float
    left: float
    numbers_at: float
    width: float
    left_out: int


def forest(tables: Sequence[Table]) -> Forest | None:
    """Return the plot of the first table with a baseline; None if no table has any."""
    table = headline_table(tables)
    found = [row for row in comparisons(table) if not math.isnan(row.cell.value)] if table else []
    if table is None or not found:
        return None
    shown = found[:MOST_ROWS]
    ends = [end for row in shown for end in (row.cell.value, row.cell.low, row.cell.high) if not math.isnan(end)]
    left = MARGIN + CHARACTER * max(len(_shortened(row.name)) for row in shown) + GAP
    axis = _Axis(min(0.0, *ends), max(0.0, *ends), left)
    numbers_at = left + DRAWING + GAP
    rows = tuple(_row(row.name, row.cell, table.percent, axis, place) for place, row in enumerate(shown))
    return Forest(
        title=table.compared,
        rows=rows,
        ticks=tuple(Tick(_tick_text(value, table.percent), axis.x(value)) for value in axis.ticks()),
        zero=axis.x(0.0),
        bottom=float(ROW_HEIGHT * len(rows)),
        left=left,
        numbers_at=numbers_at,
        width=numbers_at + CHARACTER * (1 + max(len(row.numbers) for row in rows)),
        left_out=len(found) - len(shown),
    )


def _shortened(name: str) -> str:
    name = one_line(name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _row(name: str, cell: TableCell, percent: bool, axis: _Axis, place: int) -> ForestRow:
    name = one_line(name)
    decision = f"· {one_line(cell.decision)}" if cell.decision else ""
    known = not (math.isnan(cell.low) or math.isnan(cell.high))
    return ForestRow(
        name=_shortened(name),
        full_name=name,
        numbers=" ".join(filter(None, [number(cell.value, percent, True), interval_text(cell, percent), decision])),
        y=ROW_HEIGHT * (place + 0.5),
        value=axis.x(cell.value),
        low=axis.x(cell.low) if known else None,
        high=axis.x(cell.high) if known else None,
    )


def _tick_text(value: float, percent: bool) -> str:
    shown = float(f"{100 * value if percent else value:.6g}")
    return f"{shown:+g}" if shown else "0"


@dataclass(frozen=True)
class _Axis:
    """The axis from `low` to `high`, which include zero. It begins at `left` in the picture."""

    low: float
    high: float
    left: float

    def x(self, value: float) -> float:
        """Return where a value lies."""
        span = (self.high - self.low) or 1.0
        return round(self.left + (value - self.low) / span * DRAWING, 1)

    def ticks(self) -> list[float]:
        """Return at most `MOST_TICKS` multiples of 1, 2 or 5 times a power of ten, among them zero."""
        span = self.high - self.low
        if not span:
            return [0.0]
        power = 10.0 ** (math.floor(math.log10(span)) - 1)
        steps = (power * factor for factor in (1, 2, 5, 10, 20, 50, 100))
        step = next(step for step in steps if self._last(step) - self._first(step) < MOST_TICKS)
        return [index * step for index in range(self._first(step), self._last(step) + 1)]

    def _first(self, step: float) -> int:
        return math.ceil(self.low / step - 1e-9)

    def _last(self, step: float) -> int:
        return math.floor(self.high / step + 1e-9)
