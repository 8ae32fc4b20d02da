"""A sheet: the title, columns and notes that a command prints, which every format renders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .table import Table, TableCell

Kind = Literal["text", "percent", "number", "count", "total", "seconds", "p"]
Escape = Callable[[str], str]


@dataclass(frozen=True)
class Approximate:
    """A number that rests on an assumption; it is printed with a leading ~."""

    value: float


Entry = str | float | int | Approximate | TableCell | None


@dataclass(frozen=True)
class Style:
    """How a sheet is printed: with 95% intervals, and with bold type on a terminal."""

    intervals: bool = False
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a sheet.

    `percent` is a share, `total` a large count, `p` the p-value of a test, and `seconds` a time span. A column of
    `remarks` has texts that can be long: a terminal shows them below the table.
    """

    name: str
    kind: Kind = "text"
    remarks: bool = False

    def text(self, entry: Entry, intervals: bool = False) -> str:
        """Return an entry as unescaped text; a missing entry is empty."""
        match entry:
            case TableCell():
                return cell_text(entry, self.kind == "percent", intervals)
            case Approximate():
                return f"~{self.text(entry.value)}"
            case str():
                return entry
            case None:
                return ""
        return "" if missing(entry) else self._number(entry)

    def _number(self, value: float) -> str:
        match self.kind:
            case "percent" | "number":
                return number(float(value), self.kind == "percent")
            case "total":
                return f"{value:,.0f}"
            case "seconds":
                return duration(value)
            case "p":
                return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
        return str(value)


@dataclass(frozen=True)
class Sheet:
    """A table ready to be rendered.

    Attributes:
        title: The caption.
        columns: The columns, in order.
        rows: An entry for each column of each row.
        notes: The lines below the table.
        strong: The indices of the rows that stand out.
        intro: The lines between the title and the table.
        pivoted: The suite's table that this sheet shows, if it shows one.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()
    strong: frozenset[int] = field(default=frozenset())
    intro: tuple[str, ...] = ()
    pivoted: Table | None = None

    @property
    def labels(self) -> int:
        """The number of leading columns that name a row."""
        return self.pivoted.dimensions if self.pivoted else 1

    @property
    def heading(self) -> str:
        """The title, with the unit if all values share it."""
        return f"{self.title} (%)" if self.pivoted and self.pivoted.percent else self.title

    @property
    def header(self) -> list[str]:
        """The names of the columns, each with its unit unless the heading has it."""
        return [f"{c.name} (%)" if c.kind == "percent" and not self.pivoted else c.name for c in self.columns]

    @property
    def numeric(self) -> list[bool]:
        return [column.kind != "text" for column in self.columns]

    def texts(self, escape: Escape, emphasise: Escape = str, intervals: bool = False) -> list[list[str]]:
        """Return the rows as escaped text, with `emphasise` applied to what stands out."""

        def text(column: Column, entry: Entry, strong: bool) -> str:
            plain = escape(column.text(entry, intervals))
            strong = strong or (isinstance(entry, TableCell) and entry.best)
            return emphasise(plain) if plain and strong else plain

        return [
            [text(column, entry, index in self.strong) for column, entry in zip(self.columns, row, strict=True)]
            for index, row in enumerate(self.rows)
        ]


def sheet_of(table: Table) -> Sheet:
    """Return a suite's table as a sheet."""
    kind: Kind = "percent" if table.percent else "number"
    labels, values = table.header[: table.dimensions], table.header[table.dimensions :]
    columns = (*map(Column, labels), *(Column(name, kind) for name in values))
    return Sheet(table.title, columns, tuple((*key, *cells) for key, cells in table.rows), table.notes, pivoted=table)


def table_of(sheet: Sheet) -> Table:
    """Return a sheet as a `Table`, which is what formats of plugins render.

    Columns of text become labels, and columns of numbers become cells. `percent` is set if all numbers are shares.
    """
    if sheet.pivoted:
        return sheet.pivoted
    order = sorted(range(len(sheet.columns)), key=lambda index: sheet.numeric[index])
    dimensions = sheet.numeric.count(False)
    kinds = {column.kind for column in sheet.columns if column.kind != "text"}
    rows = tuple(
        (
            tuple(sheet.columns[i].text(row[i]) for i in order[:dimensions]),
            tuple(_cell(row[i], index in sheet.strong) for i in order[dimensions:]),
        )
        for index, row in enumerate(sheet.rows)
    )
    header = tuple(sheet.columns[i].name for i in order)
    return Table("", sheet.title, header, dimensions, rows, kinds == {"percent"}, (*sheet.intro, *sheet.notes))


def _cell(entry: Entry, strong: bool) -> TableCell:
    value = plain(entry)
    return TableCell() if value is None or isinstance(value, str) else TableCell(float(value), best=strong)


def plain(entry: Entry) -> str | float | int | None:
    """Return an entry as text or a number; None if it is missing."""
    if isinstance(entry, TableCell | Approximate):
        entry = entry.value
    return None if missing(entry) else entry


def missing(entry: Entry) -> bool:
    return entry is None or (isinstance(entry, float) and math.isnan(entry))


def number(value: float, percent: bool, signed: bool = False) -> str:
    """Return a number with four significant digits, or a share in per cent with one decimal; an infinite one as ∞."""
    sign = "+" if signed else ""
    if math.isinf(value):
        return f"{'-' if value < 0 else sign}∞"
    return f"{100 * value:{sign}.1f}" if percent else f"{value:{sign}.4g}"


def interval_text(cell: TableCell, percent: bool) -> str:
    """Return the interval of a cell in brackets; empty if it has none."""
    if math.isnan(cell.low):
        return ""
    return f"[{number(cell.low, percent, cell.signed)}, {number(cell.high, percent, cell.signed)}]"


def cell_text(cell: TableCell, percent: bool, intervals: bool) -> str:
    """Return value, white-box mark, interval and published value of a cell. A difference always has its interval."""
    if cell.void:
        return "void"
    if math.isnan(cell.value):
        return ""
    value = number(cell.value, percent, cell.signed) + ("°" if cell.white_box else "")
    interval = interval_text(cell, percent) if intervals or cell.signed else ""
    published = "" if cell.reference is None else f"({number(cell.reference, percent)})"
    return " ".join(filter(None, [value, interval, published]))


def duration(seconds: float) -> str:
    """Return a time span with two significant digits."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def without_repeats(rows: Sequence[Sequence[str]], labels: int) -> list[list[str]]:
    """Blank the labels that repeat those of the row above, except in the last label column."""
    shown: list[list[str]] = []
    above: Sequence[str] = [""] * labels
    for row in rows:
        same = 0
        while same < labels - 1 and row[same] == above[same]:
            same += 1
        shown.append([*[""] * same, *row[same:]])
        above = row
    return shown
