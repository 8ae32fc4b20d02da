"""A sheet as a LaTeX table; needs the package booktabs."""

from __future__ import annotations

from collections.abc import Iterable

from ..escapes import in_latex, no_commands
from ..sheet import Sheet, Style, without_repeats


def render(sheet: Sheet, style: Style) -> str:
    rows = sheet.texts(in_latex, lambda text: rf"\textbf{{{text}}}", style.intervals)
    columns = "".join("r" if numeric else "l" for numeric in sheet.numeric)
    notes = r"\\ ".join(map(in_latex, (*sheet.intro, *sheet.notes)))
    lines = [
        r"\begin{table}",
        rf"\caption{{{in_latex(sheet.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line(map(in_latex, sheet.header)),
        r"\midrule",
        *map(_line, without_repeats(rows, sheet.labels)),
        r"\bottomrule",
        r"\end{tabular}",
        "",
        rf"\footnotesize {notes}",
        r"\end{table}",
        "",
    ]
    return no_commands("\n".join(lines))


def _line(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"
