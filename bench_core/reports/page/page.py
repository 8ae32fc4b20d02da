"""Puts a report together."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from ...errors import one_line
from ...gate.compare import Comparison, explain
from ...gate.formats import sheet
from ...gate.snapshot import read_facts, run_folder
from ...registry import Registry, discover
from ...result import load_result
from ...scores.warnings import flags
from ...tables.formats.html import Field, HtmlTable, html_table, page, templates
from ...tables.sheet import sheet_of
from ...types import Json
from .figures import figures
from .gallery import make_gallery


def run_page(path: Path, registry: Registry | None = None, gallery: int = 4, source: str | None = None) -> str:
    """Give the page of a run. Raises UsageError where the folder is no run."""
    registry = registry or discover()
    folder = run_folder(path)
    facts, result = read_facts(folder), load_result(folder, registry)
    suite = result.suite
    warned = flags(result.scores, result.warned)
    return _page(
        "run.html", suite.title,
        tables=[html_table(sheet_of(table)) for table in result.tables],
        figures=figures(result, registry),
        gallery=make_gallery(result, facts, registry, gallery, source),
        flags=warned,
        facts=_facts(facts),
        environment=_listing("Environment", _environment(facts)),
        networks=_listing("Networks", {name: _short(entry["identity"]) for name, entry in facts["models"].items()}),
        suite=json.dumps(facts["suite"], indent=2, ensure_ascii=False),
        reproduce=facts["reproduce"],
    )  # fmt: skip


def comparison_page(comparison: Comparison) -> str:
    """Give the page of a comparison."""
    return _page(
        "comparison.html", f"{comparison.new} against {comparison.base}",
        tables=[html_table(sheet(comparison))], passed=not comparison.failures, explained=explain(comparison),
        suite_name=comparison.suite,
    )  # fmt: skip


def _page(template: str, title: str, **parts: Any) -> str:
    """Render with the one script that may run there: the page's policy names its digest, and allows no request."""
    script = templates().get_template("report.js").render()
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page(template, title=one_line(title), script=script, allowed=allowed, **parts)


def _facts(facts: Json) -> list[tuple[str, str]]:
    """Give what a reader wants to know first."""
    suite, images = facts["suite"], facts["images"]
    sources = ["+".join(s) if isinstance(s, list) else s for s in suite["sources"]]
    budgets = [f"{name}: {b['norm']}, eps {b['eps']:.4g}, {b['steps']} steps" for name, b in suite["budgets"].items()]
    pairs = [
        ("Images", f"{len(images['ids'])} of {facts['dataset']['count']}, digest {images['digest'][:12]}"),
        ("Chosen", suite["images"]["rule"].replace("_", " ")),
        ("Sources", ", ".join(sources)),
        ("Targets", ", ".join(suite["targets"])),
        ("Attacks", ", ".join(suite["attacks"])),
        ("Budgets", "; ".join(budgets)),
        ("Profile", suite["profile"]),
    ]
    return [(name, text) for name, text in pairs if text]


def _environment(facts: Json) -> dict[str, str]:
    everything = {**facts["environment"], **facts["versions"], "code": facts["host"], "seed": facts["seed"]}
    return {name: str(value) for name, value in everything.items() if value is not None}


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listing(title: str, entries: dict[str, str]) -> HtmlTable:
    rows = tuple((Field(name, name), Field(value, value)) for name, value in entries.items())
    return HtmlTable(title, ("name", "value"), (False, False), 1, rows, ())
