"""A sheet as JSON: a suite's table with every field of its cells, any other sheet with an object for each row."""

from __future__ import annotations

import json
import math

from ...types import Json
from ..escapes import in_json
from ..sheet import Sheet, Style, plain
from ..table import Table, TableCell


def render(sheet: Sheet, _style: Style) -> str:
    """Render a sheet; intervals are always included."""
    record = table_record(sheet.pivoted) if sheet.pivoted else sheet_record(sheet)
    return in_json(json.dumps(record, indent=1)) + "\n"


def table_record(table: Table) -> Json:
    rows = [{"labels": list(key), "cells": [cell_record(cell) for cell in cells]} for key, cells in table.rows]
    return {
        "name": table.name, "title": table.title, "header": list(table.header), "notes": list(table.notes),
        "rows": rows,
    }  # fmt: skip


def cell_record(cell: TableCell) -> Json:
    """Return the fields of a cell: null for NaN, and "inf" for an infinite number, which JSON lacks."""
    return {key: _in_json(value) if isinstance(value, float) else value for key, value in vars(cell).items()}


def _in_json(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def sheet_record(sheet: Sheet) -> Json:
    names = [column.name for column in sheet.columns]
    rows = [dict(zip(names, map(plain, row), strict=True)) for row in sheet.rows]
    return {"title": sheet.title, "notes": [*sheet.intro, *sheet.notes], "rows": rows}
