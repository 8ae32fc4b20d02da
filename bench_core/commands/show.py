"""`bench show`: prints the tables of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import RESULTS, Format, Intervals, NoWarnings, Out, Plots, Profile


def show(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", show_default=False, help="A suite that was run, or the folder of a run.")
    ],
    profile: Profile = None,
    out: Out = RESULTS,
    format: Format = "terminal",
    ci: Intervals = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Add columns with published values and the differences from them.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(metavar="LABELS", help="Use these labels as rows, separated by commas, e.g. target,attack."),
    ] = None,
    no_warnings: NoWarnings = False,
    plots: Plots = False,
) -> None:
    """Print the tables of a finished run.

    No model is run: the tables are computed from the outcomes that the run has saved.
    """
    from ..registry import discover
    from ..runs.folder import RECORD_FILE
    from ..runs.load import load_result
    from ..runs.scoring import pivots
    from ..tables.sheet import sheet_of
    from ..tables.views import beside_published
    from .output import print_headline, print_notes, printer, save_plots

    folder = Path(suite)
    if not (folder / RECORD_FILE).is_file():
        folder = folder_by_name(suite, profile, out)
    registry = discover()
    print_sheets = printer(format, registry, ci)
    result = load_result(folder, registry, not no_warnings)
    tables = result.tables if by is None else pivots(result, by.split(","))
    if format == "terminal" and by is None:
        print_headline(result)
    print_sheets([sheet_of(beside_published(table) if reference else table) for table in tables])
    print_notes(result)
    if plots:
        save_plots(result, registry)


def folder_by_name(suite: str, profile: str | None, out: Path) -> Path:
    """Return the folder of a run of a suite, given its file, its name, or only the name of its folder of results.

    The last needs no suite file. Without a profile, it must have run with a single one.
    """
    from ..errors import Fault, UsageError, did_you_mean
    from ..files import safe_name
    from ..runs.folder import RECORD_FILE, find_runs
    from ..suite.find import own_suites
    from ..suite.load import load_suite

    if (out / suite / RECORD_FILE).is_file():
        return out / suite
    try:
        loaded = load_suite(suite, profile)
    except UsageError:
        ran = [run for run in find_runs(out / safe_name(suite)) if profile in (None, run.name)]
        if Path(suite).exists() or Path(f"{suite}.toml").is_file() or suite in own_suites():
            raise  # it is a suite, or the message names the file that was meant
        if len(ran) > 1:
            names = " or ".join(run.name for run in ran)
            raise UsageError(Fault(suite, "", f"has several runs in {out} (try --profile {names})")) from None
        if not ran:
            known = {str(run.relative_to(out)) for run in find_runs(out)} | {run.parent.name for run in find_runs(out)}
            message = f"no run in {out} has this name, and no suite {did_you_mean(suite, {*known, *own_suites()})}"
            raise UsageError(Fault(suite, "", message)) from None
        return ran[0]
    return out / safe_name(loaded.name) / safe_name(loaded.profile)
