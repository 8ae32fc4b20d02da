"""`bench query`: SQL over all stored scores."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import RESULTS, Format, Out


def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", show_default=False, help="A query on the tables `scores` and `runs`.")
    ] = "",
    schema: Annotated[bool, typer.Option("--schema", help="Print the tables and their columns, then exit.")] = False,
    format: Format = "terminal",
    out: Out = RESULTS,
) -> None:
    """Query the scores of all runs with SQL."""
    from ..errors import Fault, UsageError
    from ..reports import query as reports
    from ..runs.folder import find_runs
    from ..tables.sheet import Column, Sheet
    from .output import printer

    if schema:
        print((reports.__doc__ or "").partition("\n\n")[2].strip())
        return
    if not sql:
        example = "SELECT metric, avg(value) FROM scores GROUP BY 1"
        raise UsageError(Fault("bench query", "", f'no SQL (try "{example}")'))
    show = printer(format)
    if not find_runs(out):
        raise UsageError(Fault(str(out), "", "there are no runs (bench run SUITE)"))
    records = reports.query(sql, out)
    names = list(records[0]) if records else []
    numeric = {n for n in names if all(isinstance(r[n], int | float) or r[n] is None for r in records)}
    columns = tuple(Column(name, "number" if name in numeric else "text") for name in names)
    rows = tuple(tuple(plain(record[name]) for name in names) for record in records)
    show([Sheet(f"{len(records)} row{'s' * (len(records) != 1)}", columns, rows)])


def plain(value: Any) -> str | float | int | None:
    """Return a value of the database as an entry of a sheet; dates and lists become text."""
    return value if value is None or isinstance(value, str | float | int) else str(value)
