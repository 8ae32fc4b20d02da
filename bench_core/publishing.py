"""What publishers need: they hand finished runs to other tools, when `bench publish` asks for it.

A publisher writes files or calls a library on this machine. It sends nothing over a network unless an option that the
user sets says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .recipes import PublisherRecipe
from .run_views import Publisher, RunView, TableCellView, TableView

__all__ = [
    "Point", "Publisher", "PublisherRecipe", "RunView", "TableCellView", "TableView", "code_text", "escaped",
    "interval_text", "points", "text_table",
]  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One value of a table.

    Attributes:
        path: The table's name, the labels of the row, and the name of the column.
        cell: The value with its interval and its number of images.
        percent: Whether the value is a share, which tables show in per cent.
    """

    path: tuple[str, ...]
    cell: TableCellView
    percent: bool

    @property
    def name(self) -> str:
        return "/".join(self.path)


def points(tables: Sequence[TableView]) -> Iterator[Point]:
    """Yield every value of the tables; void and empty cells have none."""
    for table in tables:
        columns = table.header[table.dimensions :]
        for labels, cells in table.rows:
            for column, cell in zip(columns, cells, strict=True):
                if not cell.void and not math.isnan(cell.value):
                    yield Point((table.name, *labels, column), cell, table.percent)


def interval_text(value: float, low: float | None, high: float | None, percent: bool) -> str:
    """Return a value with its 95% interval in brackets, if it has one.

    Args:
        value: The value.
        low: The lower end; NaN or None if there is no interval.
        high: The upper end.
        percent: Whether to print all of them in per cent, with one decimal.
    """

    def text(number: float) -> str:
        return f"{100 * number:.1f}%" if percent else f"{number:.4g}"

    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return text(value)
    return f"{text(value)} [{text(low)}, {text(high)}]"


def text_table(table: TableView) -> str:
    """Return a table in Markdown, with the 95% interval and the number of images in each cell."""
    header = [escaped(name) for name in table.header]
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for labels, cells in table.rows:
        entries = [*map(escaped, labels), *(_cell_text(cell, table.percent) for cell in cells)]
        lines.append(f"| {' | '.join(entries)} |")
    notes = [escaped(note) for note in table.notes]
    return "\n".join([f"**{escaped(table.title)}**", "", *lines, "", *(f"{note}  " for note in notes)]).rstrip() + "\n"


def _cell_text(cell: TableCellView, percent: bool) -> str:
    if cell.void:
        return "void"
    if math.isnan(cell.value):
        return ""
    return f"{interval_text(cell.value, cell.low, cell.high, percent)}, N = {cell.n}"


_ESCAPES = str.maketrans({
    **{char: f"\\{char}" for char in "\\`*_[]#"}, **{char: f"&#{ord(char)};" for char in "<>&|"},
})  # fmt: skip


def escaped(text: str) -> str:
    """Escape what has a meaning in Markdown or HTML, since labels come from files that strangers write."""
    return "".join(char if char.isprintable() else " " for char in text).translate(_ESCAPES)


def code_text(text: str) -> str:
    """Return a text as code in Markdown, between more backticks than it has in a row."""
    line = "".join(char if char.isprintable() else " " for char in text)
    longest = max(map(len, re.findall("`+", line)), default=0)
    marks = "`" * (longest + 1)
    return f"{marks} {line} {marks}" if longest else f"`{line}`"
