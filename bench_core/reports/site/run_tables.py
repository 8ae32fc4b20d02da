"""The tables of a run's page on a site: no number twice, and heatmaps as shaded cells.

A heatmap has the numbers of a table. As a picture it would repeat them, and be too coarse to read if it is large. So
site.js shades the cells of the table, which stay text: sharp, sorted, searched and read aloud.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...errors import UsageError
from ...plots.differences import differences
from ...plots.series import difference_note
from ...result import Result
from ...suite.outputs import TableEntry
from ...suite.plot_entries import HeatmapPlotEntry
from ...tables.formats.html import HtmlTable, html_table
from ...tables.pivot import pivot
from ...tables.sheet import sheet_of
from ...tables.table import Table, TableCell
from ..page.figures import PagePlot

MOST_INTERVALS = 1000  # in a table; larger tables are curves, of which nobody reads single intervals


@dataclass(frozen=True)
class RunTables:
    """The tables of a page, and where it shows each heatmap of the suite, by the name of the plot."""

    tables: list[HtmlTable]
    heatmaps: dict[str, PagePlot]


def run_tables(result: Result) -> RunTables:
    """Return the tables of a run, each without the columns that an earlier one has, and those that are heatmaps."""
    entries = {entry.name: entry for entry in result.suite.tables}
    known = [(entries.get(table.name), table) for table in result.tables]
    tables = [_without_repeated(known[:place], *known[place]) for place in range(len(known))]
    heatmaps = dict[str, PagePlot]()
    for plot in result.suite.plots:
        if not isinstance(plot, HeatmapPlotEntry):
            continue
        title, place = plot.title or result.suite.title, _place(plot, entries, result.tables)
        try:
            if place is None:
                tables.append(_of_plot(result, plot, title))
                place = len(tables) - 1
        except (ValueError, UsageError) as error:
            heatmaps[plot.name] = PagePlot(title, plot.kind, missing=str(error))
            continue
        if place < len(known):
            tables[place] = replace(html_table(sheet_of(known[place][1])), shades=_shades(*known[place]))
        heatmaps[plot.name] = PagePlot(title, plot.kind, table=place + 1, shown_as=tables[place].title)
    return RunTables([_without_many_intervals(table) for table in tables], heatmaps)


def _without_many_intervals(table: HtmlTable) -> HtmlTable:
    """Return a table, without intervals if it has very many, and then with a note that says where they are."""
    if sum(bool(field.detail) for row in table.rows for field in row) <= MOST_INTERVALS:
        return table
    rows = tuple(tuple(replace(field, detail="") for field in row) for row in table.rows)
    note = "the 95% intervals of so many values are in the run's scores.jsonl; bench show --ci prints them"
    return replace(table, rows=rows, notes=(*table.notes, note))


def _place(plot: HeatmapPlotEntry, entries: dict[str, TableEntry], tables: Sequence[Table]) -> int | None:
    """Return the first table that has all scores of a plot; None if there is none."""
    for place, table in enumerate(tables):
        entry = entries.get(table.name)
        if entry and not entry.only and not plot.baseline and (entry.value, entry.where) == (plot.value, plot.where):
            return place
    return None


def _of_plot(result: Result, plot: HeatmapPlotEntry, title: str) -> HtmlTable:
    """Return the table of a heatmap whose numbers no table of the suite has."""
    scores = result.scores
    if plot.baseline:
        scores = differences(scores, plot.value, plot.baseline, result.suite.attack_labels)
    entry = TableEntry(
        name=plot.name, rows=[*plot.panels, *plot.rows], columns=plot.columns, value=plot.value, title=title,
        format=plot.format, where=plot.where,
    )  # fmt: skip
    table = pivot(scores, entry, title, None, result.suite.file)
    if plot.baseline:
        rows = tuple((key, tuple(replace(cell, signed=True) for cell in cells)) for key, cells in table.rows)
        table = replace(table, rows=rows, notes=(difference_note(plot.baseline), *table.notes))
    return replace(html_table(sheet_of(table)), shades=_shades(entry, table, signed=bool(plot.baseline)))


def _shades(entry: TableEntry | None, table: Table, signed: bool = False) -> str:
    """Return for site.js which columns are shaded, and whether around zero. Means are not: the heatmap has none."""
    means = 0 if entry is None else entry.mean + bool(entry.baseline)
    ends = f"{table.dimensions} {len(table.header) - means}"
    return f"{ends} signed" if signed else ends


def _without_repeated(
    earlier: Sequence[tuple[TableEntry | None, Table]], entry: TableEntry | None, table: Table
) -> HtmlTable:
    """Return a table without the columns that an earlier table of the same score has for all of its rows."""
    for other, known in earlier:
        if entry and other and (other.value, other.only) == (entry.value, entry.only):
            repeated = set(_repeated(known, table))
            if repeated and len(repeated) < len(table.header) - table.dimensions:
                return _without(html_table(sheet_of(table)), repeated, known.title)
    return html_table(sheet_of(table))


def _repeated(known: Table, table: Table) -> Iterator[int]:
    """Yield the columns whose cells another table has. Means stay, because the difference beside them is from them."""
    cells = {
        (_key(known, labels), name): cell
        for labels, row in known.rows
        for name, cell in zip(known.header[known.dimensions :], row, strict=True)
    }
    for place, name in enumerate(table.header[table.dimensions :]):
        same = (_equal(row[place], cells.get((_key(table, labels), name))) for labels, row in table.rows)
        if name != "mean" and all(same):
            yield table.dimensions + place


def _key(table: Table, labels: Sequence[str]) -> frozenset[tuple[str, str]]:
    return frozenset(zip(table.header, labels, strict=False))


def _equal(cell: TableCell, other: TableCell | None) -> bool:
    """Whether two cells show the same numbers; whether they are the best of their rows may differ."""
    if other is None or math.isnan(cell.value) or cell.signed:
        return False
    return replace(cell, best=False) == replace(other, best=False) or (
        (cell.value, cell.n) == (other.value, other.n) and math.isnan(cell.low) and math.isnan(other.low)
    )


def _without(table: HtmlTable, columns: set[int], source: str) -> HtmlTable:
    """Return a table without some columns, with a note that says where they are."""
    kept = [place for place in range(len(table.header)) if place not in columns]
    names = ", ".join(table.header[place] for place in sorted(columns))
    return replace(
        table, header=tuple(table.header[place] for place in kept),
        numeric=tuple(table.numeric[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
        notes=(*table.notes, f"the values of {names} are in the table {json.dumps(source, ensure_ascii=False)}"),
    )  # fmt: skip
