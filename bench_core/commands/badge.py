"""`bench badge`: the score of a run as a small picture for a README."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import BASELINES, Baselines


def badge(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", show_default=False, help="A run's folder, a baseline file, or baseline:NAME."),
    ],
    to: Annotated[Path, typer.Option(metavar="FILE", help="The SVG file to write.")] = Path("badge.svg"),
    score: Annotated[
        str, typer.Option(metavar="NAME", help="The score, METRIC.SCORE. Defaults to the first that the run gates.")
    ] = "",
    label: Annotated[str, typer.Option(metavar="TEXT", help="The left half. Defaults to the name of the score.")] = "",
    against: Annotated[
        str | None,
        typer.Option(metavar="BASE", help="Compare with this run or baseline, and show the verdict in green or red."),
    ] = None,
    baselines: Baselines = BASELINES,
) -> None:
    """Draw the score of a run as an SVG badge.

    It shows the worst value of a gated score, with its 95% interval. The file loads nothing from the network.
    """
    from ..errors import Fault, UsageError, one_line
    from ..gate.badge import badge as make_badge
    from ..gate.badge import svg
    from ..gate.baselines import snapshot
    from ..gate.compare import compare
    from ..store import write_atomically

    if to.is_dir():
        raise UsageError(Fault("--to", "", f"{to} is a folder (try {to / 'badge.svg'})"))
    of = snapshot(run, baselines)
    comparison = None if against is None else compare(snapshot(against, baselines), of)
    shown = make_badge(of, score, label, comparison)
    write_atomically(to, svg(shown).encode())
    print(f"bench: wrote {one_line(str(to))}: {one_line(f'{shown.label}: {shown.message}')}", file=sys.stderr)
