"""Makes any text inert in the format it is put into: labels come from files that strangers write.

HTML is left to jinja2, which escapes whatever it is given (`render_html.py`).
"""

from __future__ import annotations

import re

from ..errors import one_line

LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "°": r"$^\circ$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", **{char: f"\\{char}" for char in "&%$#_{}"},
}  # fmt: skip


def no_commands(text: str) -> str:
    """Break lines that the log of a CI service would take as a command, `::error::` for one."""
    return re.sub(r"^([ \t\"']*):(?=:)", r"\1: ", text, flags=re.MULTILINE)


def in_markdown(text: str) -> str:
    return re.sub(
        r"[\\`*_\[\]<>#!|&~$]", lambda m: f"&#{ord(m[0])};" if m[0] in "<>|&" else f"\\{m[0]}", one_line(text)
    )


def in_csv(text: str) -> str:
    """Lead what a spreadsheet would run by an apostrophe."""
    line = one_line(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@", "\t", "\r")) else line


def in_latex(text: str) -> str:
    return "".join(LATEX.get(char, char) for char in one_line(text))


def in_json(text: str) -> str:
    """Write JSON's text so that the log of a CI service finds no command of the older form in it."""
    return text.replace("##[", "#\\u0023[")


def in_xml(text: str) -> str:
    """Leave XML nothing but printable characters; its writer escapes those that are markup."""
    return one_line(text)


def in_annotation(text: str) -> str:
    """Escape the message of a GitHub workflow command."""
    return one_line(text).replace("%", "%25")


def in_annotation_property(text: str) -> str:
    """Escape a property, the title for one, of a GitHub workflow command."""
    return in_annotation(text).replace(":", "%3A").replace(",", "%2C")
