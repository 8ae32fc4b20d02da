"""`bench leaderboard`: many runs, one ranked table for each suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

By = Literal["attack", "source", "target"]


def leaderboard(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=]RUN", help="Runs' folders; all below DIR by default.")
    ] = None,
    by: Annotated[By, typer.Option(help="What is ranked.")] = "attack",
    score: Annotated[str | None, typer.Option(help="The score to rank by; the first of the suite's gate.")] = None,
    best: Annotated[Literal["max", "min"] | None, typer.Option(help="Which is the best; as the gate says.")] = None,
    where: Annotated[list[str] | None, typer.Option(metavar="LABEL=VALUE", help="Only these; repeatable.")] = None,
    suite: Annotated[str | None, typer.Option(help="Only the runs of this suite.")] = None,
    no_warnings: Annotated[bool, typer.Option("--no-warnings", help="Leave out what to be careful of.")] = False,
    format: Annotated[str, typer.Option(help="terminal, markdown, csv, latex, html or json.")] = "terminal",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results are kept.")] = Path("results"),
) -> None:
    """Rank attacks, sources or targets over many runs, ties by interval; refuse what cannot be compared."""
    from ..errors import Fault, UsageError
    from ..reports.leaderboard import leaderboards, read_contributions
    from ..runs.folder import find_runs
    from ..tables.sheet import Sheet, render_sheet

    render_sheet(Sheet("", (), ()), format)  # an unknown format is refused before the work
    given = runs or [str(folder) for folder in find_runs(out)]
    if not given:
        raise UsageError(Fault(str(out), "", "there are no runs (bench run SUITE)"))
    contributions = read_contributions(given, warn=not no_warnings)
    if suite is not None:
        contributions = [each for each in contributions if each.result.suite.name == suite]
        if not contributions:
            raise UsageError(Fault("--suite", "", f'no run is of the suite "{suite}"'))
    filters = dict(_filter(text) for text in where or [])
    print(
        "\n".join(render_sheet(each, format) for each in leaderboards(contributions, by, score, best, filters)), end=""
    )


def _filter(text: str) -> tuple[str, str]:
    from ..errors import Fault, UsageError

    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(Fault("--where", text, "not of the form LABEL=VALUE"))
    return name, value
