"""A sheet for a terminal."""

from __future__ import annotations

from dataclasses import replace

from tabulate import tabulate

from ...errors import one_line
from ..escapes import no_commands
from ..sheet import Entry, Sheet, Style, without_repeats


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m"


def render(sheet: Sheet, style: Style) -> str:
    sheet = with_remarks_below(sheet)
    rows = sheet.texts(one_line, bold if style.bold else str, style.intervals)
    align = ["right" if numeric else "left" for numeric in sheet.numeric]
    body = tabulate(
        without_repeats(rows, sheet.labels), [*map(one_line, sheet.header)], "simple",
        colalign=align if rows else None, disable_numparse=True,
    )  # fmt: skip
    notes = [f"  {one_line(note)}" for note in sheet.notes]
    return no_commands("\n".join([one_line(sheet.heading), *map(one_line, sheet.intro), "", body, "", *notes, ""]))


def with_remarks_below(sheet: Sheet) -> Sheet:
    """Replace the remarks of a sheet by numbers, and add them to its notes, each once."""
    numbers: dict[str, str] = {}

    def numbered(index: int, entry: Entry) -> Entry:
        if not sheet.columns[index].remarks or not isinstance(entry, str) or not entry:
            return entry
        return numbers.setdefault(entry, f"[{len(numbers) + 1}]")

    rows = tuple(tuple(numbered(index, entry) for index, entry in enumerate(row)) for row in sheet.rows)
    notes = [f"{number} {text}" for text, number in numbers.items()]
    return replace(sheet, rows=rows, notes=(*sheet.notes, *notes))
