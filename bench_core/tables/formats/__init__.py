"""The formats in which commands print and runs save tables: bench's own, and those of plugins (`bench_render`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import Fault, UsageError, did_you_mean, raised
from ..sheet import Sheet, Style, sheet_of, table_of
from ..table import Table
from . import csv, html, json, latex, markdown, text

if TYPE_CHECKING:
    import pluggy

Render = Callable[[Sheet, Style], str]


@dataclass(frozen=True)
class Format:
    """How a sheet becomes text, and the suffix of the files it is saved in."""

    suffix: str
    render: Render


FORMATS: Mapping[str, Format] = {
    "terminal": Format("txt", text.render),
    "markdown": Format("md", markdown.render),
    "csv": Format("csv", csv.render),
    "latex": Format("tex", latex.render),
    "html": Format("html", html.render),
    "json": Format("json", json.render),
}
PLAIN, WITH_INTERVALS = Style(), Style(intervals=True)


def render(table: Table | Sheet, name: str = "terminal", style: Style = PLAIN) -> str:
    """Render a table or a sheet in one of bench's own formats."""
    return FORMATS[name].render(sheet_of(table) if isinstance(table, Table) else table, style)


def find_format(name: str, manager: pluggy.PluginManager, more: Iterable[str] = ()) -> Render:
    """Return the renderer of a format.

    Args:
        name: The name of one of bench's own formats, or of a plugin's.
        manager: The plugins.
        more: Other names to suggest for an unknown one.

    Raises:
        UsageError: No format has this name.
    """
    if name in FORMATS:
        return FORMATS[name].render
    saved = plugin_formats(manager)

    def by_plugin(sheet: Sheet, style: Style) -> str:
        rendered = manager.hook.bench_render(table=table_of(sheet), format=name, intervals=style.intervals)
        if not isinstance(rendered, str):
            message = f'unknown format "{name}" {did_you_mean(name, {*FORMATS, *saved, *more})}'
            raise UsageError(Fault("--format", "", message))
        return rendered

    if name not in saved:  # a plugin need not list a format that runs do not save, so try it on an empty table
        by_plugin(sheet_of(Table("", "", (), 0, (), False, ())), PLAIN)
    return by_plugin


def plugin_formats(manager: pluggy.PluginManager) -> dict[str, str]:
    """Return the formats that plugins want saved, by name, and their file suffixes.

    Raises:
        UsageError: A suffix is not of letters, digits and dots, or a name or a suffix is taken.
    """
    names, suffixes = set(FORMATS), {form.suffix for form in FORMATS.values()} | {"intervals.csv"}
    formats: dict[str, str] = {}
    for offered in manager.hook.bench_formats():
        if not isinstance(offered, Mapping):
            message = f"found {type(offered).__name__}, expected a mapping of formats to suffixes"
            raise UsageError(Fault("plugins", "bench_formats", message))
        for name, suffix in offered.items():
            if not isinstance(suffix, str) or not re.fullmatch(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)*", suffix):
                raise UsageError(Fault("plugins", f"formats.{name}", f'found suffix "{suffix}" (try org)'))
            if name in names or suffix in suffixes:
                message = f'the name or its suffix "{suffix}" is taken (block one of the plugins)'
                raise UsageError(Fault("plugins", f"formats.{name}", message))
            names.add(name)
            suffixes.add(suffix)
            formats[name] = suffix
    return formats


def saved_files(table: Table, manager: pluggy.PluginManager) -> Iterator[tuple[str, str]]:
    """Yield suffix and text of each file that a run saves of a table.

    If a plugin's format raises, the error is logged and the file is left out, so that the run still keeps its results.
    """
    sheet = sheet_of(table)
    for form in FORMATS.values():
        yield form.suffix, form.render(sheet, PLAIN)
    yield "intervals.csv", csv.render(sheet, WITH_INTERVALS)
    for name, suffix in plugin_formats(manager).items():
        try:
            rendered = find_format(name, manager)(sheet, PLAIN)
        except Exception as error:
            import logging

            logging.getLogger("bench").warning(
                "bench: table %s was not saved as %s: %s", table.name, name, raised(error)
            )
        else:
            yield suffix, rendered
