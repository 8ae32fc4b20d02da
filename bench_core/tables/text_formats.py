"""Table -> terminal, Markdown, CSV, LaTeX, HTML, JSON. Labels come from files that strangers write: they stay inert."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence

import pluggy
from tabulate import tabulate

from ..errors import Fault, UsageError, did_you_mean, one_line
from .escapes import in_csv, in_latex, in_markdown, no_commands
from .pivot import Table, TableCell, records

Escape = Callable[[str], str]


def number(value: float, percent: bool, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f}" if percent else f"{value:{sign}.4g}"


def cell_text(cell: TableCell, percent: bool, intervals: bool) -> str:
    """Say a cell in plain characters: value, interval, white-box mark, published value."""
    if cell.void:
        return "void"
    if math.isnan(cell.value):
        return ""
    text = number(cell.value, percent, cell.signed) + ("°" if cell.white_box else "")
    if (intervals or cell.signed) and not math.isnan(cell.low):
        text += f" [{number(cell.low, percent, cell.signed)}, {number(cell.high, percent, cell.signed)}]"
    if cell.reference is not None:
        text += f" ({number(cell.reference, percent)})"
    return text


def _grid(table: Table, escape: Escape, strong: Escape, intervals: bool) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            *map(escape, key),
            *((strong if c.best else str)(escape(cell_text(c, table.percent, intervals))) for c in cells),
        ]
        for key, cells in table.rows
    ]
    return [escape(name) for name in table.header], rows


def _aligned(table: Table) -> list[str]:
    return ["left"] * table.dimensions + ["right"] * (len(table.header) - table.dimensions)


def _unrepeated(rows: Sequence[Sequence[str]], dimensions: int) -> list[list[str]]:
    """Leave out the labels that the row above has already."""
    shown, above = [], [""] * dimensions
    for row in rows:
        same = True
        labels = []
        for place in range(dimensions):
            same = same and row[place] == above[place] and place < dimensions - 1
            labels.append("" if same else row[place])
        shown.append([*labels, *row[dimensions:]])
        above = list(row[:dimensions])
    return shown


def terminal(table: Table, intervals: bool = False, bold: bool = False) -> str:
    header, rows = _grid(table, one_line, (lambda text: f"\033[1m{text}\033[0m") if bold else str, intervals)
    body = tabulate(
        _unrepeated(rows, table.dimensions), header, "simple", colalign=_aligned(table), disable_numparse=True
    )
    unit = " (%)" if table.percent else ""
    notes = [f"  {one_line(note)}" for note in table.notes]
    return no_commands("\n".join([one_line(table.title) + unit, "", body, "", *notes, ""]))


def markdown(table: Table, intervals: bool = False) -> str:
    plain = _grid(table, in_markdown, lambda text: f"**{text}**", intervals)
    lines = [plain[0], ["---" if place < table.dimensions else "---:" for place in range(len(table.header))], *plain[1]]
    body = ["| " + " | ".join(line) + " |" for line in lines]
    unit = " (%)" if table.percent else ""
    notes = [f"{in_markdown(note)}  " for note in table.notes]
    return no_commands("\n".join([f"### {in_markdown(table.title)}{unit}", "", *body, "", *notes, ""]))


def comma_separated(table: Table, intervals: bool = False) -> str:
    """One line a cell's row; a label that a spreadsheet would run is led by an apostrophe."""

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(table.header[table.dimensions :])
    wide = [column for name in names for column in ([name, f"{name} low", f"{name} high"] if intervals else [name])]
    writer.writerow([*map(in_csv, table.header[: table.dimensions]), *map(in_csv, wide)])
    for key, cells in table.rows:
        values: list[str] = []
        for cell in cells:
            three = [cell.value, cell.low, cell.high] if intervals else [cell.value]
            values += ["void"] * len(three) if cell.void else ["" if math.isnan(v) else f"{v:.10g}" for v in three]
        writer.writerow([*map(in_csv, key), *values])
    return no_commands(out.getvalue())


def latex(table: Table, intervals: bool = False) -> str:
    header, rows = _grid(table, in_latex, lambda text: rf"\textbf{{{text}}}", intervals)
    columns = "l" * table.dimensions + "r" * (len(header) - table.dimensions)
    lines = [" & ".join(row) + r" \\" for row in _unrepeated(rows, table.dimensions)]
    lines = [" & ".join(header) + r" \\", r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"]
    notes = r"\\ ".join(in_latex(note) for note in table.notes)
    top = [r"\begin{table}", rf"\caption{{{in_latex(table.title)}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    return no_commands("\n".join([*top, *lines, "", rf"\footnotesize {notes}", r"\end{table}", ""]))


def as_json(table: Table, intervals: bool = False) -> str:  # noqa: ARG001  (always has them)
    return json.dumps(records([table])[0], indent=1) + "\n"


def html(table: Table, intervals: bool = False) -> str:  # noqa: ARG001  (always has them)
    """A page fragment; jinja2 is imported when one is made."""
    from .html import fragment, of_table

    return no_commands(fragment(of_table(table)))


def render(table: Table, form: str, intervals: bool, bold: bool, manager: pluggy.PluginManager) -> str:
    """Render in one of bench's formats or a plugin's. Raises UsageError where nobody knows the format."""
    if form in FORMATS:
        extra = {"bold": bold} if form == "terminal" else {}
        return FORMATS[form][1](table, intervals, **extra)
    made: str | None = manager.hook.bench_render(table=table, format=form)
    if made is None:
        raise UsageError(Fault("--format", "", f'unknown format "{form}" {did_you_mean(form, FORMATS)}'))
    return made


FORMATS: Mapping[str, tuple[str, Callable[..., str]]] = {
    "terminal": ("txt", terminal),
    "markdown": ("md", markdown),
    "csv": ("csv", comma_separated),
    "latex": ("tex", latex),
    "html": ("html", html),
    "json": ("json", as_json),
}
