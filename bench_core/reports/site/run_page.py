"""The content of a run's page on a site. What other pages show is a link."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ...registry import Registry
from ...result import Result
from ...runs.record import RunRecord
from ...suite.model import Suite
from ...tables.formats.html import HtmlTable
from ..page.page import name_value_table, run_parts
from .boards import SummarisedRun
from .pages import links_of_run
from .places import network_page
from .run_tables import run_tables
from .views import UP, table_view, text_field

ELSEWHERE = ("name", "title", "profile", "models")  # keys of a suite that the page shows in other places


def run_page_parts(
    run: SummarisedRun, record: RunRecord, result: Result, registry: Registry, gallery: int
) -> dict[str, Any]:
    """Return what the template of a run's page shows on a site, except its plots.

    Args:
        run: The run.
        record: Its record.
        result: Its result.
        registry: The installed plugins.
        gallery: How many attacked images of each attack to show.
    """
    parts, shown = run_parts(record, result, registry, gallery), run_tables(result)
    flagged = set(parts["flags"])  # the page begins with them
    digests = {"run": run.found.digest, "images": record.images.digest, "dataset": record.dataset.digest}
    return parts | {
        "suite": suite_text(record.suite),
        "tables": [
            replace(table, notes=tuple(note for note in table.notes if note not in flagged)) for table in shown.tables
        ],
        "heatmaps": shown.heatmaps,
        "networks": _networks(run),
        "digests": name_value_table("Digests (SHA-256)", digests),
        "links": links_of_run(run),
    }


def _networks(run: SummarisedRun) -> HtmlTable:
    """Return the networks of a run, with links to their pages, which show the full identity of their weights."""
    rows = [
        (text_field(name, UP + network_page(name)), text_field(network.recipe), text_field(network.short))
        for name, network in run.summary.networks.items()
    ]
    header = [("network", False), ("recipe", False), ("digest of its weights and options", False)]
    return table_view("networks", "Networks", header, rows).table


def suite_text(suite: Suite) -> str:
    """Return a suite as JSON, with a line for each entry of its tables and lists, and without the path of its file."""
    stated = suite.model_dump(mode="json", exclude_defaults=True, exclude={"file", *ELSEWHERE})
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {_lines(value)}" for key, value in stated.items()) + "\n}"


def _lines(value: Any) -> str:
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {_line(key)}: {_line(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"  {_line(each)}" for each in value) + "]"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
