"""`bench leaderboard`: ranks attacks, sources or targets over many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import RESULTS, Format, NoWarnings, Out


def leaderboard(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]RUN",
            help="The folders of runs, with names to show, or a folder of runs. Defaults to all runs in DIR.",
        ),
    ] = None,
    by: Annotated[Literal["attack", "source", "target"], typer.Option(help="What to rank.")] = "attack",
    score: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE",
            help="The score to rank by, over all images. Defaults to what the suite's first table shows.",
        ),
    ] = None,
    best: Annotated[
        Literal["max", "min"] | None,
        typer.Option(help="Which value is best. Attacks are ranked as the suite's gate or tables state by default."),
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=VALUE", help="Use only scores with this label. Repeatable.")
    ] = None,
    suite: Annotated[str | None, typer.Option(metavar="SUITE", help="Use only the runs of this suite.")] = None,
    best_known: Annotated[
        bool, typer.Option("--best-known", help="Rank networks by the lowest accuracy that any attack reached.")
    ] = False,
    no_warnings: NoWarnings = False,
    format: Format = "terminal",
    out: Out = RESULTS,
) -> None:
    """Rank attacks, sources or targets over many runs.

    Entries tie unless the paired 95% interval of their difference excludes zero. Runs with
    different images or budgets are rejected, since they are not comparable.
    """
    from ..errors import Fault, UsageError
    from ..reports.best_known import best_known as lowest_known
    from ..reports.leaderboard import leaderboards, read_contributions
    from ..runs.folder import find_runs
    from .output import printer

    show = printer(format)
    ranking = {"--by": by != "attack", "--score": score is not None, "--best": best is not None, "--where": where}
    if best_known and (given := next((option for option, value in ranking.items() if value), None)):
        message = f"has no {given}: networks are ranked by the lowest accuracy that is known"
        raise UsageError(Fault("--best-known", "", message))
    folders = [folder for run in runs for folder in folders_of(run)] if runs else list(map(str, find_runs(out)))
    if not folders:
        raise UsageError(Fault(str(out), "", "there are no runs (bench run SUITE)"))
    contributions = read_contributions(folders, warn=not no_warnings)
    if suite is not None:
        contributions = [run for run in contributions if run.result.suite.name == suite]
        if not contributions:
            raise UsageError(Fault("--suite", "", f'no run is of the suite "{suite}"'))
    if best_known:
        show([lowest_known(contributions)])
        return
    show(leaderboards(contributions, by, score, best, dict(map(label_filter, where or []))))


def folders_of(run: str) -> list[str]:
    """Return the folders of all runs in a folder of runs; anything else as it is."""
    from ..runs.folder import find_runs

    return list(map(str, find_runs(Path(run)))) or [run]


def label_filter(text: str) -> tuple[str, str]:
    """Split LABEL=VALUE. Raises UsageError if the text has another form."""
    from ..errors import Fault, UsageError

    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(Fault("--where", text, "not of the form LABEL=VALUE"))
    return name, value
