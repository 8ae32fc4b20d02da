"""Other views of the tables of a run: other labels as rows, published values as columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Fault, UsageError
from .pivot import pivot
from .table import Table, TableCell

if TYPE_CHECKING:
    from ..result import Result


def pivots(result: Result, rows: Sequence[str]) -> list[Table]:
    """Pivot again every table that has these labels, with them as its rows and the others as its columns.

    Raises UsageError where no table has them all.
    """
    suite, made = result.suite, []
    for asked in suite.tables:
        dimensions = [*asked.rows, *asked.columns]
        if not set(rows) <= set(dimensions):
            continue
        columns = [name for name in dimensions if name not in rows]
        baseline = asked.baseline if set(asked.baseline) <= set(rows) else {}
        turned = asked.model_copy(update={"rows": list(rows), "columns": columns, "baseline": baseline})
        table = pivot(result.scores, turned, suite.title, Path(suite.file).parent, suite.file)
        made.append(result.flagged(table, turned))
    if not made:
        known = sorted({name for table in suite.tables for name in (*table.rows, *table.columns)})
        message = f"no table has {' and '.join(rows)} (known: {', '.join(known)})"
        raise UsageError(Fault("--by", "", message))
    return made


def beside_published(table: Table) -> Table:
    """Return a table with published values, and measured minus published, in columns of their own."""
    places = range(len(table.header) - table.dimensions)
    published = [any(cells[place].reference is not None for _, cells in table.rows) for place in places]
    header = list(table.header[: table.dimensions])
    for place in places:
        name = table.header[table.dimensions + place]
        header += [name, f"{name} published", f"{name} difference"] if published[place] else [name]
    rows = []
    for key, cells in table.rows:
        wide: list[TableCell] = []
        for place, cell in enumerate(cells):
            wide += [replace(cell, reference=None), *_compared(cell)] if published[place] else [cell]
        rows.append((key, tuple(wide)))
    notes = [note for note in table.notes if not note.startswith("(published")]
    if not any(published):
        notes.append("no published values are known for this table")
    return replace(table, header=tuple(header), rows=tuple(rows), notes=tuple(notes))


def _compared(cell: TableCell) -> tuple[TableCell, TableCell]:
    if cell.reference is None:
        return TableCell(), TableCell()
    low, high = cell.low - cell.reference, cell.high - cell.reference
    difference = TableCell(cell.value - cell.reference, low, high, cell.n, signed=True)
    return TableCell(cell.reference), difference if not math.isnan(cell.value) else TableCell()
