"""`bench query`: SQL over all stored scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Over the tables scores and runs; see --schema.")] = "",
    schema: Annotated[bool, typer.Option("--schema", help="Say which tables and columns there are.")] = False,
    format: Annotated[str, typer.Option(help="terminal, markdown, csv, latex, html or json.")] = "terminal",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results are kept.")] = Path("results"),
) -> None:
    """Ask all stored scores, of every run below DIR, in SQL."""
    from ..errors import Fault, UsageError
    from ..reports import query as asked
    from ..tables.sheet import Column, Sheet, render_sheet

    if schema:
        print((asked.__doc__ or "").partition("\n\n")[2].strip())
        return
    if not sql:
        raise UsageError(
            Fault("bench query", "", 'no SQL (would do: "SELECT metric, avg(value) FROM scores GROUP BY 1")')
        )
    render_sheet(Sheet("", (), ()), format)  # an unknown format is refused before the work
    records = asked.query(sql, out)
    names = list(records[0]) if records else []
    numeric = {n for n in names if all(isinstance(r[n], int | float) or r[n] is None for r in records)}
    columns = tuple(Column(name, "number" if name in numeric else "text") for name in names)
    rows = tuple(tuple(_plain(record[name]) for name in names) for record in records)
    print(render_sheet(Sheet(f"{len(records)} rows", columns, rows), format), end="")


def _plain(value: Any) -> str | float | int | None:
    return value if value is None or isinstance(value, str | float | int) else str(value)
