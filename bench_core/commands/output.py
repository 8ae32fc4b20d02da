"""Prints sheets in the format that the user asked for."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..registry import Registry
    from ..result import Result
    from ..tables.sheet import Sheet

Printer = Callable[[Sequence["Sheet"]], None]


def printer(form: str, registry: Registry | None = None, intervals: bool = False, more: Iterable[str] = ()) -> Printer:
    """Return a function that prints sheets.

    Args:
        form: The name of the format.
        registry: The installed plugins. By default they are loaded only if bench itself has no such format.
        intervals: Whether to print 95% confidence intervals.
        more: Other formats that the command has, for the message about an unknown one.

    Raises:
        UsageError: No format has this name. Call `printer` before any long work.
    """
    from ..tables.formats import FORMATS, find_format
    from ..tables.sheet import Style

    style = Style(intervals, bold=sys.stdout.isatty())
    if form in FORMATS:
        render = FORMATS[form].render
    else:
        from ..registry import discover

        render = find_format(form, (registry or discover()).manager, more)

    def show(sheets: Sequence[Sheet]) -> None:
        print("\n".join(render(sheet, style) for sheet in sheets), end="")

    return show


def print_run(result: Result, show: Printer, form: str, registry: Registry, plots: bool = False) -> None:
    """Print the tables of a run that has ended and where its results are. Exits with 3 if it is incomplete.

    Args:
        result: The run.
        show: What prints its tables; in the format "terminal" only the first, after the headline.
        form: The name of the format.
        registry: The installed plugins.
        plots: Whether to save its plots.
    """
    from ..errors import one_line
    from ..tables.sheet import sheet_of
    from .live import decided_text

    first_only = form == "terminal"  # a program that reads another format needs all tables
    if first_only:
        print_headline(result)
    show([sheet_of(table) for table in (result.tables[:1] if first_only else result.tables)])
    if result.decisions is not None:
        print(f"bench: {one_line(decided_text(result))}", file=sys.stderr)
    print_notes(result)
    folder = one_line(shlex.quote(str(result.folder)))
    rest = len(result.tables) - 1 if first_only else 0
    more = f" ({rest} more {'table' if rest == 1 else 'tables'}: bench show {folder})" if rest > 0 else ""
    print(f"bench: all results are in {folder}{more}", file=sys.stderr)
    if plots:
        save_plots(result, registry)
    if not result.complete:
        for reason in sorted(set(result.voids.values())):
            print(f"bench: void: {one_line(reason)}", file=sys.stderr)
        raise typer.Exit(3)


def print_headline(result: Result) -> None:
    """Print the comparisons of a result with its baseline, if it has one."""
    from ..errors import one_line
    from ..tables.escapes import no_commands
    from ..tables.headline import headline

    lines = headline(result.tables, shutil.get_terminal_size((100, 24)).columns)
    if lines:
        print(no_commands("\n".join([*map(one_line, lines), ""])))


def print_notes(result: Result) -> None:
    """Print what a reader of a result must know besides its numbers."""
    from ..errors import one_line

    for note in result.notes:
        print(f"bench: {one_line(note)}", file=sys.stderr)


def save_plots(result: Result, registry: Registry) -> None:
    """Save the plots of a run and report where they are."""
    from ..errors import one_line
    from ..plots import write_plots

    files = write_plots(result, registry)
    where = one_line(str(result.folder / "plots"))
    count = len(files) // 2
    message = f"saved {count} {'plot' if count == 1 else 'plots'} in {where}" if files else "the suite has no plots"
    print(f"bench: {message}", file=sys.stderr)
