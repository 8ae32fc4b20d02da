"""`bench compare`: the regression gate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .options import BASELINES, Baselines


def compare(
    base: Annotated[
        str,
        typer.Argument(metavar="BASE", show_default=False, help="A run's folder, a baseline file, or baseline:NAME."),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", show_default=False, help="The run to compare with BASE.")],
    format: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="The output format: terminal, markdown, junit, github, json, csv, latex, html, or one of a plugin.",
        ),
    ] = "terminal",
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also save the summary as Markdown.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also save the verdicts as JUnit XML.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also save the verdicts as JSON.")] = None,
    github: Annotated[
        bool,
        typer.Option("--github", help="Also print annotations and append the summary to $GITHUB_STEP_SUMMARY."),
    ] = False,
    alpha: Annotated[
        float,
        typer.Option(
            min=1e-6, max=0.5, metavar="P", help="The probability of a false alarm, over all scores together."
        ),
    ] = 0.05,
    power: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=0.999,
            metavar="P",
            help="The probability of detecting the smallest drop that is reported as detectable.",
        ),
    ] = 0.8,
    baselines: Baselines = BASELINES,
) -> None:
    """Check a run for regressions.

    Compares the gated scores of NEW with those of BASE, image by image. Exits with 0 if none is worse, with 1 if one
    is, and with 2 if the two are not comparable.
    """
    from ..gate import formats
    from ..gate.baselines import snapshot
    from ..gate.compare import compare as compare_snapshots
    from ..store import write_atomically
    from .output import printer

    comparison_formats = formats.COMPARISON_FORMATS
    show = None if format in comparison_formats else printer(format, more=comparison_formats)
    comparison = compare_snapshots(snapshot(base, baselines), snapshot(new, baselines), alpha, power)
    if show:
        show([formats.sheet(comparison)])
    else:
        print(comparison_formats[format](comparison), end="")
    for path, name in ((markdown, "markdown"), (junit, "junit"), (json, "json")):
        if path is not None:
            write_atomically(path, comparison_formats[name](comparison).encode())
    if github:
        print(formats.github(comparison), end="")
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
                file.write(formats.summary(comparison))
    if comparison.failures:
        raise typer.Exit(1)
