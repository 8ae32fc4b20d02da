"""`bench report`: one page that needs nothing but itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="A run's folder; with --compare, BASE and NEW.")],
    compare: Annotated[bool, typer.Option("--compare", help="Report on the gate instead: BASE, then NEW.")] = False,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="The page; report.html in the run's folder.")] = None,
    gallery: Annotated[int, typer.Option(min=0, max=50, metavar="N", help="Show the first N images attacked.")] = 4,
    source: Annotated[str | None, typer.Option(help="The source whose images are shown; the suite's first.")] = None,
    baselines: Annotated[Path, typer.Option(metavar="DIR", help="Where baselines are kept.")] = Path(
        "results/baselines"
    ),
) -> None:
    """Write a run as one HTML page: tables, plots, images, the suite, and how to reproduce it. Or a comparison."""
    from ..errors import Fault, UsageError, one_line
    from ..reports.page.page import comparison_page, run_page
    from ..runs.folder import run_folder
    from ..store import write_atomically

    wanted = 2 if compare else 1
    if len(runs) != wanted:
        message = f"found {len(runs)} runs (would do: {'BASE NEW' if compare else 'one RUN'})"
        raise UsageError(Fault("bench report", "", message))
    if compare:
        from ..gate.baselines import snapshot
        from ..gate.compare import compare as compare_snapshots

        base, new = (snapshot(name, baselines) for name in runs)
        text, path = comparison_page(compare_snapshots(base, new)), to or Path("comparison.html")
    else:
        text = run_page(Path(runs[0]), gallery=gallery, source=source)
        path = to or run_folder(Path(runs[0])) / "report.html"
    write_atomically(path, text.encode())
    print(f"bench: the report is {one_line(str(path))}", file=sys.stderr)
