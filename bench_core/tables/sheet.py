"""A table of any entries, text and numbers mixed: what comparisons and leaderboards are printed as."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tabulate import tabulate

from ..errors import Fault, UsageError, did_you_mean, one_line
from .escapes import in_csv, in_json, in_latex, in_markdown, no_commands
from .text_formats import number

Kind = Literal["text", "percent", "points", "number", "count", "p"]
Entry = str | float | int | None


@dataclass(frozen=True)
class Column:
    """`percent` is a share, `points` a signed difference of shares, `p` a probability of a test."""

    name: str
    kind: Kind = "text"

    def text(self, entry: Entry) -> str:
        """Say an entry in plain characters; what is not there is empty."""
        if entry is None or (isinstance(entry, float) and math.isnan(entry)):
            return ""
        match self.kind:
            case "percent":
                return number(float(entry), True)
            case "points":
                return number(float(entry), True, signed=True)
            case "number":
                return number(float(entry), False)
            case "p":
                return "< 0.0001" if float(entry) < 1e-4 else f"{float(entry):.4f}"
        return str(entry)


@dataclass(frozen=True)
class Sheet:
    """`rows` have an entry for each column; `strong` are the rows to stand out."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()
    strong: frozenset[int] = field(default=frozenset())

    def texts(self, escape: Callable[[str], str] = str) -> tuple[list[str], list[list[str]]]:
        """Give header and rows as text, escaped."""
        header = [escape(f"{c.name} (%)" if c.kind in ("percent", "points") else c.name) for c in self.columns]
        rows = [[escape(c.text(entry)) for c, entry in zip(self.columns, row, strict=True)] for row in self.rows]
        return header, rows

    @property
    def numeric(self) -> list[bool]:
        return [column.kind != "text" for column in self.columns]


def terminal(sheet: Sheet) -> str:
    header, rows = sheet.texts(one_line)
    align = ["right" if numeric else "left" for numeric in sheet.numeric]
    body = tabulate(rows, header, "simple", colalign=align if rows else None, disable_numparse=True)
    notes = [f"  {one_line(note)}" for note in sheet.notes]
    return no_commands("\n".join([one_line(sheet.title), "", body, "", *notes, ""]))


def markdown(sheet: Sheet) -> str:
    header, rows = sheet.texts(in_markdown)
    rows = [[f"**{e}**" if e and i in sheet.strong else e for e in row] for i, row in enumerate(rows)]
    lines = [header, ["---:" if numeric else "---" for numeric in sheet.numeric], *rows]
    body = ["| " + " | ".join(line) + " |" for line in lines]
    notes = [f"{in_markdown(note)}  " for note in sheet.notes]
    return no_commands("\n".join([f"### {in_markdown(sheet.title)}", "", *body, "", *notes, ""]))


def comma_separated(sheet: Sheet) -> str:
    """Numbers as they are, shares as shares."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([in_csv(column.name) for column in sheet.columns])
    for row in sheet.rows:
        writer.writerow([in_csv(e) if isinstance(e, str) else "" if _absent(e) else f"{e:.10g}" for e in row])
    return no_commands(out.getvalue())


def _absent(entry: Entry) -> bool:
    return entry is None or (isinstance(entry, float) and math.isnan(entry))


def latex(sheet: Sheet) -> str:
    header, rows = sheet.texts(in_latex)
    columns = "".join("r" if numeric else "l" for numeric in sheet.numeric)
    lines = [" & ".join(row) + r" \\" for row in rows]
    top = [r"\begin{table}", rf"\caption{{{in_latex(sheet.title)}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    bottom = [r"\bottomrule", r"\end{tabular}", "", r"\footnotesize " + r"\\ ".join(map(in_latex, sheet.notes))]
    return no_commands("\n".join([*top, " & ".join(header) + r" \\", r"\midrule", *lines, *bottom, r"\end{table}", ""]))


def as_json(sheet: Sheet) -> str:
    names = [column.name for column in sheet.columns]
    rows = [{n: None if _absent(e) else e for n, e in zip(names, row, strict=True)} for row in sheet.rows]
    record = {"title": sheet.title, "notes": list(sheet.notes), "rows": rows}
    return in_json(json.dumps(record, indent=1)) + "\n"


def html(sheet: Sheet) -> str:
    """A page fragment; needs jinja2, which is imported here."""
    from .html import fragment, of_sheet

    return no_commands(fragment(of_sheet(sheet)))


SHEET_FORMATS: Mapping[str, Callable[[Sheet], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "csv": comma_separated,
    "latex": latex,
    "html": html,
    "json": as_json,
}


def render_sheet(sheet: Sheet, form: str) -> str:
    """Render in one of bench's formats. Raises UsageError for another."""
    if form not in SHEET_FORMATS:
        raise UsageError(Fault("--format", "", f'unknown format "{form}" {did_you_mean(form, SHEET_FORMATS)}'))
    return SHEET_FORMATS[form](sheet)
