"""A sheet as HTML, rendered by jinja2 with everything escaped: a fragment, or a table of the report's page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from ...errors import one_line
from ..escapes import no_commands
from ..sheet import Column, Entry, Sheet, Style, cell_text, interval_text, plain
from ..table import TableCell

if TYPE_CHECKING:
    import jinja2


LONG = 15  # rows


@dataclass(frozen=True)
class Field:
    """One entry of an HTML table.

    Attributes:
        text: What is shown.
        sort: The text or number to sort by; an empty one sorts last.
        style: The names of its CSS classes.
        title: The tooltip.
        detail: What is shown smaller below the text.
        href: Where the text leads; nowhere by default.
    """

    text: str
    sort: str = ""
    style: str = ""
    title: str = ""
    detail: str = ""
    href: str = ""


@dataclass(frozen=True)
class HtmlTable:
    """A table for `grid.html` or `site_grid.html`.

    Attributes:
        title: The caption.
        header: The names of the columns.
        numeric: Whether each column has numbers.
        labels: How many columns, the first ones, identify a row.
        rows: The entries.
        notes: The lines below the table.
        shades: Which columns site.js shades by their values: the first, the one after the last, and `signed` if the
            shades are around zero. None if empty.
    """

    title: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    labels: int
    rows: tuple[tuple[Field, ...], ...]
    notes: tuple[str, ...]
    shades: str = ""

    @property
    def long(self) -> bool:
        """Whether the page shows only the first rows until the reader asks for all."""
        return len(self.rows) > LONG

    @property
    def tall(self) -> bool:
        """Whether rows have two lines."""
        return any(field.detail for row in self.rows for field in row)


def render(sheet: Sheet, _style: Style) -> str:
    """Render a sheet as a fragment of a page; intervals are always included."""
    return no_commands(templates().get_template("table.html").render(table=html_table(sheet), id="") + "\n")


def html_table(sheet: Sheet) -> HtmlTable:
    rows = tuple(
        tuple(_field(column, entry, index in sheet.strong) for column, entry in zip(sheet.columns, row, strict=True))
        for index, row in enumerate(sheet.rows)
    )
    notes = (*sheet.intro, *sheet.notes)
    return HtmlTable(sheet.heading, tuple(sheet.header), tuple(sheet.numeric), sheet.labels, rows, notes)


def _field(column: Column, entry: Entry, strong: bool) -> Field:
    if isinstance(entry, TableCell):
        return _cell_field(entry, column.kind == "percent")
    value = plain(entry)
    sort = "" if value is None else value if isinstance(value, str) else f"{value:.10g}"
    return Field(column.text(entry), sort, "best" if strong else "")


def _cell_field(cell: TableCell, percent: bool) -> Field:
    """Put the interval of a cell below its value."""
    text = cell_text(replace(cell, low=math.nan), percent, intervals=False)
    if cell.void or math.isnan(cell.value):
        return Field(text, style="void" if cell.void else "", title=cell.void or "")
    style = " ".join(name for name, on in (("best", cell.best), ("white-box", cell.white_box)) if on)
    return Field(text, _sorted_by(cell.value), style, f"N = {cell.n}", interval_text(cell, percent))


def _sorted_by(value: float) -> str:
    """Return a number as scripts read it."""
    return f"{value:.10g}" if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


@cache
def templates() -> jinja2.Environment:
    """Return the templates of the report. Everything is escaped, and an undefined name is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench_core.reports.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters["content"] = _content
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # in the order given
    return environment


def _content(text: str) -> Any:
    """Escape the text of an element, which may have quotes as they are, unlike that of an attribute."""
    from markupsafe import Markup, escape

    return Markup(str(escape(_printable(text))).replace("&#34;", '"').replace("&#39;", "'"))


def _printable(value: Any) -> Any:
    """Escape control characters, except line breaks."""
    if type(value) is str:
        return "\n".join(map(one_line, value.split("\n")))
    return value


def page(name: str, tables: Iterable[HtmlTable] = (), **parts: Any) -> str:
    """Render a complete page by the name of its template."""
    return templates().get_template(name).render(tables=list(tables), **parts)
