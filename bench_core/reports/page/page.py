"""The HTML page of a run or of a comparison."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from ...errors import one_line
from ...gate.compare import Comparison, explain
from ...gate.formats import sheet
from ...registry import Registry, discover
from ...result import Result
from ...runs.folder import run_folder
from ...runs.load import load_result
from ...runs.record import RunRecord, read_record
from ...scores.warnings import flags
from ...suite.budget import BudgetEntry
from ...suite.model import source_label
from ...tables.decision import Decisions
from ...tables.formats.html import Field, HtmlTable, html_table, page, templates
from ...tables.sheet import sheet_of
from .figures import figures
from .forest import forest
from .gallery import make_gallery


def run_page(path: Path, registry: Registry | None = None, gallery: int = 4, source: str | None = None) -> str:
    """Return the page of a run.

    Args:
        path: The run's folder, or a file in it.
        registry: The installed plugins; they are discovered by default.
        gallery: How many of the attacked images to show.
        source: The label of the source whose attacks are shown; the suite's first source by default.

    Raises:
        UsageError: The folder is not a run's.
    """
    registry = registry or discover()
    folder = run_folder(path)
    record, result = read_record(folder), load_result(folder, registry)
    parts = run_parts(record, result, registry, gallery, source)
    return _page("run.html", result.suite.title, figures=figures(result, registry), **parts)


def run_parts(
    record: RunRecord, result: Result, registry: Registry, gallery: int, source: str | None = None
) -> dict[str, Any]:
    """Return what the template of a run's page shows, except its plots; for the arguments see `run_page`."""
    return {
        "tables": [html_table(sheet_of(table)) for table in result.tables],
        "forest": forest(result.tables),
        "gallery": make_gallery(result, record, registry, gallery, source),
        "flags": flags(result.scores, result.warned),
        "facts": _facts(record, result.decisions),
        "environment": name_value_table("Environment", _environment(record)),
        "networks": name_value_table("Networks", _networks(record)),
        "suite": json.dumps(record.suite.model_dump(mode="json"), indent=2, ensure_ascii=False),
        "reproduce": record.reproduce,
    }


def comparison_page(comparison: Comparison) -> str:
    """Return the page of a comparison."""
    return _page(
        "comparison.html", f"{comparison.new} against {comparison.base}",
        tables=[html_table(sheet(comparison))], passed=not comparison.failures, explained=explain(comparison),
        suite_name=comparison.suite,
    )  # fmt: skip


def _page(template: str, title: str, **parts: Any) -> str:
    """Render a page. Its content security policy allows no request, and only this script, by its digest."""
    script = templates().get_template("report.js").render()
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page(template, title=one_line(title), script=script, allowed=allowed, site=None, **parts)


def _facts(record: RunRecord, decisions: Decisions | None) -> list[tuple[str, str]]:
    """Return the facts at the head of the page."""
    suite, images = record.suite, record.images
    budgets = [
        f"{name if name == b.norm else f'{name}: {b.norm}'}, eps {eps_text(b.eps)}"
        f"{' pixels' if b.norm == 'l0' else ''}, {steps_text(b)}"
        for name, b in suite.budgets.items()
    ]
    facts = [
        ("Images", f"{len(images.ids)} of {record.dataset.count}, digest {images.digest[:12]}"),
        ("Selection rule", suite.images.rule.replace("_", " ")),
        ("Sources", ", ".join(map(source_label, suite.sources))),
        ("Targets", ", ".join(suite.targets)),
        ("Attacks", ", ".join(suite.attacks)),
        ("Given images, not attacked here", ", ".join(suite.given)),
        ("Budgets", "; ".join(budgets)),
        ("Profile", suite.profile),
        ("Comparisons", decisions.counts() if decisions else ""),
    ]
    return [(name, text) for name, text in facts if text]


def steps_text(budget: BudgetEntry) -> str:
    """Return how many steps an attack takes, or how many passes."""
    if budget.passes is None:
        return f"{budget.steps} steps"
    return f"as many steps as {budget.passes} passes allow, at most {budget.steps}"


def eps_text(eps: float) -> str:
    """Return eps as suites write it: 16/255 if it has no short decimal and is a whole number of grey levels."""
    decimal, levels = f"{eps:.4g}", round(eps * 255)
    return f"{levels}/255" if float(decimal) != eps and levels / 255 == eps else decimal


def _environment(record: RunRecord) -> dict[str, str]:
    everything = {**record.environment, **record.versions, "code": record.host, "seed": record.seed}
    return {name: str(value) for name, value in everything.items() if value is not None}


def _networks(record: RunRecord) -> dict[str, str]:
    return {name: _as_text(entry["identity"]) for name, entry in record.models.items()}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def name_value_table(title: str, entries: dict[str, str]) -> HtmlTable:
    rows = tuple((Field(name, name), Field(value, value)) for name, value in entries.items())
    return HtmlTable(title, ("name", "value"), (False, False), 1, rows, ())
