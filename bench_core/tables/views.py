"""Other views of a table: with published values in columns of their own, and with decisions."""

from __future__ import annotations

import math
from dataclasses import replace

from .decision import Decisions
from .table import Table, TableCell


def with_decisions(table: Table, decisions: Decisions) -> Table:
    """Return a table whose differences state whether they are decided, also in its notes."""
    texts = {decision.labels: str(decision) for decision in decisions.each}
    rows = tuple(
        (key, tuple(replace(cell, decision=texts.get(key)) if cell.signed else cell for cell in cells))
        for key, cells in table.rows
    )
    return replace(table, rows=rows, notes=(*table.notes, *decisions.notes()))


def beside_published(table: Table) -> Table:
    """Return a table with published values, and measured minus published, in columns of their own."""
    columns = range(len(table.header) - table.dimensions)
    published = [any(cells[column].reference is not None for _, cells in table.rows) for column in columns]
    header = list(table.header[: table.dimensions])
    for column in columns:
        name = table.header[table.dimensions + column]
        header += [name, f"{name} published", f"{name} difference"] if published[column] else [name]
    rows = []
    for key, cells in table.rows:
        wide: list[TableCell] = []
        for column, cell in enumerate(cells):
            wide += [replace(cell, reference=None), *_compared(cell)] if published[column] else [cell]
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
