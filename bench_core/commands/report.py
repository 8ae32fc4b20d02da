"""`bench report`: a run or a comparison as one HTML page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import BASELINES, Baselines


def report(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", show_default=False, help="The folder of a run. With --compare, two: BASE NEW."),
    ],
    compare: Annotated[bool, typer.Option("--compare", help="Report the comparison of two runs.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write the page. Defaults to report.html in the folder of the run, with --compare to "
            "comparison.html.",
        ),
    ] = None,
    gallery: Annotated[
        int, typer.Option(min=0, max=50, metavar="N", help="Show the first N adversarial examples of each attack.")
    ] = 4,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The source network of the examples. Defaults to the first one of the suite, with all images that "
            "were made elsewhere.",
        ),
    ] = None,
    baselines: Baselines = BASELINES,
) -> None:
    """Write a run as one HTML page.

    The page shows tables, plots, adversarial examples, the suite, and how to reproduce the run. It is self-contained
    and loads nothing from the network.
    """
    from ..errors import Fault, UsageError, one_line
    from ..reports.page.page import comparison_page, run_page
    from ..runs.folder import run_folder
    from ..store import write_atomically

    expected = 2 if compare else 1
    if len(runs) != expected:
        message = f"found {len(runs)} runs (try {'BASE NEW' if compare else 'one RUN'})"
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
    print(f"bench: wrote {one_line(str(path))}", file=sys.stderr)
