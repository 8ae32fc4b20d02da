"""`bench suites`: lists the built-in suites."""

from __future__ import annotations

from .options import Format


def suites(format: Format = "terminal") -> None:
    """List the built-in suites and their profiles."""
    from ..suite.find import own_suites
    from ..suite.merge import read_toml
    from ..tables.sheet import Column, Sheet
    from .output import printer

    show = printer(format)
    rows = []
    for name, path in own_suites().items():
        suite = read_toml(path)
        rows.append((name, ", ".join(suite.get("profiles", [])), str(suite.get("title", ""))))
    show([Sheet("Built-in suites", (Column("suite"), Column("profiles"), Column("title")), tuple(rows))])
