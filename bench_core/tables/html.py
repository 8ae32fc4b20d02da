"""Tables as HTML, through jinja2 with everything escaped: as a fragment, or as parts of the report's page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import one_line

if TYPE_CHECKING:
    import jinja2

    from .pivot import Table, TableCell
    from .sheet import Sheet

NO_VALUE = ""  # sorts last


@dataclass(frozen=True)
class Field:
    """One entry: what is read, what it sorts by, its style, and what a pointer or screen reader is told beside."""

    text: str
    sort: str = NO_VALUE
    style: str = ""
    title: str = ""
    detail: str = ""


@dataclass(frozen=True)
class HtmlTable:
    """`labels` is how many of the first columns name the row."""

    title: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    labels: int
    rows: tuple[tuple[Field, ...], ...]
    notes: tuple[str, ...]


@cache
def templates() -> jinja2.Environment:
    """jinja2 with escaping on for every template, whatever its name; an undefined name is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("bench_core.reports.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )


def _printable(value: Any) -> Any:
    """Let no control character into a page; line breaks of our own templates' texts stay."""
    if type(value) is str:
        return "\n".join(map(one_line, value.split("\n")))
    return value


def of_table(table: Table) -> HtmlTable:
    """Prepare a pivoted table, its intervals below its values."""
    from .text_formats import cell_text, number

    def entry(cell: TableCell) -> Field:
        bare = cell_text(cell, table.percent, False)
        if cell.void or math.isnan(cell.value):
            return Field(bare, style="void" if cell.void else "", title=cell.void or "")
        interval = ""
        if not math.isnan(cell.low):
            low, high = (number(v, table.percent, cell.signed) for v in (cell.low, cell.high))
            interval = f"[{low}, {high}]"
            bare = bare.replace(f" {interval}", "")
        style = " ".join(name for name, on in (("best", cell.best), ("white-box", cell.white_box)) if on)
        return Field(bare, f"{cell.value:.10g}", style, f"N = {cell.n}", interval)

    rows = tuple((*map(Field, key, key), *map(entry, cells)) for key, cells in table.rows)
    numeric = tuple(place >= table.dimensions for place in range(len(table.header)))
    title = f"{table.title} (%)" if table.percent else table.title
    return HtmlTable(title, table.header, numeric, table.dimensions, rows, table.notes)


def of_sheet(sheet: Sheet) -> HtmlTable:
    header, texts = sheet.texts()
    rows = tuple(
        tuple(
            Field(text, _sortable(entry), "best" if place in sheet.strong else "")
            for text, entry in zip(line, row, strict=True)
        )
        for place, (line, row) in enumerate(zip(texts, sheet.rows, strict=True))
    )
    return HtmlTable(sheet.title, tuple(header), tuple(sheet.numeric), 1, rows, sheet.notes)


def _sortable(entry: Any) -> str:
    if entry is None or (isinstance(entry, float) and math.isnan(entry)):
        return NO_VALUE
    return entry if isinstance(entry, str) else f"{entry:.10g}"


def fragment(table: HtmlTable) -> str:
    """Give one table alone, to be put into a page of one's own."""
    return templates().get_template("table.html").render(table=table, id="") + "\n"


def page(name: str, tables: Iterable[HtmlTable] | Sequence[HtmlTable] = (), **more: Any) -> str:
    """Give a whole page by the name of its template."""
    return templates().get_template(name).render(tables=list(tables), **more)
