"""Prints sheets in the format that the user asked for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

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
    message = f"saved {len(files) // 2} plots in {where}" if files else "the suite has no plots"
    print(f"bench: {message}", file=sys.stderr)
