"""Escapes text for each output format, because labels come from suite files and plugins that are not trusted.

HTML is escaped by jinja2 (`formats/html.py`).
"""

from __future__ import annotations

import re

from ..errors import one_line

LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "°": r"$^\circ$",
    "∞": r"$\infty$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}  # fmt: skip


def no_commands(text: str) -> str:
    """Insert a space into lines that a CI service would run as a workflow command, such as `::error::`."""
    return re.sub(r"^([ \t\"']*):(?=:)", r"\1: ", text, flags=re.MULTILINE)


def in_markdown(text: str) -> str:
    return re.sub(
        r"[\\`*_\[\]<>#!|&~$]", lambda m: f"&#{ord(m[0])};" if m[0] in "<>|&" else f"\\{m[0]}", one_line(text)
    )


def in_csv(text: str) -> str:
    """Add an apostrophe before text that a spreadsheet would evaluate as a formula."""
    line = one_line(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@", "\t", "\r")) else line


def in_latex(text: str) -> str:
    return "".join(LATEX.get(char, char) for char in one_line(text))


def in_json(text: str) -> str:
    """Escape workflow commands of the older form, `##[error]`, in the text of a JSON document."""
    return text.replace("##[", "#\\u0023[")


def in_xml(text: str) -> str:
    """Keep only printable characters; the XML writer escapes markup."""
    return one_line(text)


def in_annotation(text: str) -> str:
    """Escape the message of a GitHub workflow command."""
    return one_line(text).replace("%", "%25")


def in_annotation_property(text: str) -> str:
    """Escape a property of a GitHub workflow command, such as its title."""
    return in_annotation(text).replace(":", "%3A").replace(",", "%2C")
