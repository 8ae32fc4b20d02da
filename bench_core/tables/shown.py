"""A table as the value of a notebook's cell: HTML in a notebook, text elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Fault, UsageError, did_you_mean
from .formats import WITH_INTERVALS, html, text
from .sheet import sheet_of
from .table import Table

# The page of a notebook has its own colours, light or dark, so the style sets none.
STYLE = """
.bench table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.bench caption { text-align: left; font-weight: bold; padding: 0.3em 0; }
.bench th, .bench td { padding: 0.15em 0.6em; text-align: left; vertical-align: top; }
.bench th.number, .bench td.number { text-align: right; }
.bench small { display: block; opacity: 0.7; }
.bench .best { font-weight: bold; }
.bench .white-box, .bench .void { opacity: 0.6; }
"""


@dataclass(frozen=True)
class ShownTable:
    """A table that shows itself."""

    table: Table

    def _repr_html_(self) -> str:
        """Return HTML with intervals; everything that comes from the suite is escaped."""
        fragment = html.render(sheet_of(self.table), WITH_INTERVALS)
        return f'<div class="bench"><style>{STYLE}</style>\n{fragment}</div>'

    def __repr__(self) -> str:
        return text.render(sheet_of(self.table), WITH_INTERVALS)


def shown(tables: Sequence[Table], name: str | None, where: str) -> ShownTable:
    """Return the table of a name, or the first.

    Args:
        tables: The tables of a result.
        name: The name of one; None for the first.
        where: The run, for errors.

    Raises:
        UsageError: There is no such table.
    """
    for table in tables:
        if name in (None, table.name):
            return ShownTable(table)
    if not tables:
        raise UsageError(Fault(where, "", "the suite has no tables"))
    hint = did_you_mean(str(name), [table.name for table in tables])
    raise UsageError(Fault(where, "", f'unknown table "{name}" {hint}'))
