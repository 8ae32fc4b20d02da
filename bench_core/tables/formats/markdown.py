"""A sheet as a Markdown table."""

from __future__ import annotations

from ..escapes import in_markdown, no_commands
from ..sheet import Sheet, Style


def render(sheet: Sheet, style: Style) -> str:
    rows = sheet.texts(in_markdown, lambda text: f"**{text}**", style.intervals)
    rule = ["---:" if numeric else "---" for numeric in sheet.numeric]
    body = ["| " + " | ".join(line) + " |" for line in ([*map(in_markdown, sheet.header)], rule, *rows)]
    intro = [*(f"{in_markdown(line)}  " for line in sheet.intro), ""] if sheet.intro else []
    notes = [f"{in_markdown(note)}  " for note in sheet.notes]
    return no_commands("\n".join([f"### {in_markdown(sheet.heading)}", "", *intro, *body, "", *notes, ""]))
