"""A sheet as comma-separated values: numbers unrounded, shares as shares. No cell starts a spreadsheet formula."""

from __future__ import annotations

import csv
import io
import math

from ..escapes import in_csv, no_commands
from ..sheet import Entry, Sheet, Style, plain
from ..table import TableCell


def render(sheet: Sheet, style: Style) -> str:
    """Render a sheet; with intervals, each value of a suite's table is followed by the bounds of its interval."""
    wide = style.intervals and sheet.pivoted is not None
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [column.name for column in sheet.columns]
    bounds = [("", " low", " high") if wide and index >= sheet.labels else ("",) for index in range(len(names))]
    writer.writerow([in_csv(name + bound) for name, more in zip(names, bounds, strict=True) for bound in more])
    for row in sheet.rows:
        writer.writerow([value for entry in row for value in _values(entry, wide)])
    return no_commands(out.getvalue())


def _values(entry: Entry, wide: bool) -> list[str]:
    if not isinstance(entry, TableCell):
        value = plain(entry)
        return [in_csv(value) if isinstance(value, str) else _exact(math.nan if value is None else value)]
    values = [entry.value, entry.low, entry.high] if wide else [entry.value]
    return ["void" if entry.void else _exact(value) for value in values]


def _exact(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"
