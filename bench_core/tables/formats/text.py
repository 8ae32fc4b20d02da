"""A sheet for a terminal."""

from __future__ import annotations

from tabulate import tabulate

from ...errors import one_line
from ..escapes import no_commands
from ..sheet import Sheet, Style, without_repeats


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m"


def render(sheet: Sheet, style: Style) -> str:
    rows = sheet.texts(one_line, bold if style.bold else str, style.intervals)
    align = ["right" if numeric else "left" for numeric in sheet.numeric]
    body = tabulate(
        without_repeats(rows, sheet.labels), [*map(one_line, sheet.header)], "simple",
        colalign=align if rows else None, disable_numparse=True,
    )  # fmt: skip
    notes = [f"  {one_line(note)}" for note in sheet.notes]
    return no_commands("\n".join([one_line(sheet.heading), *map(one_line, sheet.intro), "", body, "", *notes, ""]))
