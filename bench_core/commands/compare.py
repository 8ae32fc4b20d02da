"""`bench compare`: the regression gate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there as well.")]


def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="A run's folder, a baseline's file, or baseline:NAME.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    format: Annotated[str, typer.Option(help="What to print: terminal, markdown, junit, github or json.")] = "terminal",
    markdown: File = None,
    junit: File = None,
    json: File = None,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations, and append the summary to $GITHUB_STEP_SUMMARY.")
    ] = False,
    alpha: Annotated[float, typer.Option(min=1e-6, max=0.5, help="Chance of a false alarm, of all scores.")] = 0.05,
    power: Annotated[float, typer.Option(min=0.01, max=0.999, help="Of the smallest drop that is seen.")] = 0.8,
    baselines: Annotated[Path, typer.Option(metavar="DIR", help="Where baselines are kept.")] = Path(
        "results/baselines"
    ),
) -> None:
    """Is NEW worse than BASE? Image by image, at 5% false alarms; exit code 0, 1 (it is) or 2 (not comparable)."""
    from ..errors import Fault, UsageError, did_you_mean
    from ..gate import formats
    from ..gate.baselines import snapshot
    from ..gate.compare import compare as compare_snapshots
    from ..store import write_atomically

    known = formats.COMPARISON_FORMATS
    if format not in known:
        raise UsageError(Fault("--format", "", f'unknown format "{format}" {did_you_mean(format, known)}'))
    made = compare_snapshots(snapshot(base, baselines), snapshot(new, baselines), alpha, power)
    print(known[format](made), end="")
    for path, form in ((markdown, "markdown"), (junit, "junit"), (json, "json")):
        if path is not None:
            write_atomically(path, known[form](made).encode())
    if github:
        print(formats.github(made), end="")
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
                file.write(formats.summary(made))
    if made.failures:
        raise typer.Exit(1)
