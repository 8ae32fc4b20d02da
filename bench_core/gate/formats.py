"""A comparison as a table, a Markdown summary, JUnit XML, GitHub annotations or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from ..tables.escapes import in_annotation, in_annotation_property, in_json, in_xml
from ..tables.formats import render
from ..tables.sheet import Column, Sheet, number
from .compare import Comparison, Verdict, explain

MOST_ANNOTATIONS = 10  # GitHub shows no more errors of one step
SHOWN_IN_SUMMARY = 100  # GitHub cuts a step's summary at 1 MiB
REASONS_IN_NOTES = 20
COLUMNS = (
    Column("verdict"), Column("score"), Column("base"), Column("new"), Column("change"), Column("95% interval"),
    Column("N", "count"), Column("worse", "count"), Column("better", "count"), Column("p (Holm)", "p"),
    Column("detectable"), Column("margin"),
)  # fmt: skip


def sheet(comparison: Comparison, most: int | None = None) -> Sheet:
    """Return the verdicts as a sheet, worst first.

    Args:
        comparison: The comparison.
        most: How many verdicts to show; all by default. A note counts the others.
    """
    shown = comparison.verdicts[:most]
    left_out = len(comparison.verdicts) - len(shown)
    notes = explain(comparison)
    if left_out:
        notes.append(f"{left_out} scores that are less bad are not shown")
    failures = comparison.failures[:REASONS_IN_NOTES]
    notes += dict.fromkeys(f"{verdict.status}: {verdict.name}: {verdict.reason}" for verdict in failures)
    strong = frozenset(index for index, verdict in enumerate(shown) if verdict.failed)
    return Sheet(title(comparison), COLUMNS, tuple(map(_row, shown)), tuple(notes), strong)


def title(comparison: Comparison) -> str:
    verdict = "FAILED" if comparison.failures else "passed"
    return f"Gate {verdict}: {comparison.new} against {comparison.base} ({comparison.suite})"


def _row(verdict: Verdict) -> tuple[Any, ...]:
    def text_of(value: float, signed: bool = False) -> str:
        unit = "%" if verdict.share and not signed else " pp" if verdict.share else ""
        return "" if math.isnan(value) else number(value, verdict.share, signed) + unit

    interval = "" if math.isnan(verdict.low) else f"[{text_of(verdict.low, True)}, {text_of(verdict.high, True)}]"
    return (
        verdict.status, verdict.name, text_of(verdict.base), text_of(verdict.new), text_of(verdict.change, True),
        interval, verdict.n, verdict.worse, verdict.better, verdict.adjusted,
        text_of(verdict.smallest, True).lstrip("+"), text_of(verdict.margin, True).lstrip("+"),
    )  # fmt: skip


def summary(comparison: Comparison) -> str:
    """Return the worst verdicts as Markdown, for a pull request or the summary of a job."""
    return render(sheet(comparison, SHOWN_IN_SUMMARY), "markdown")


def text(comparison: Comparison) -> str:
    """Return all verdicts as text for a terminal."""
    return render(sheet(comparison))


def junit(comparison: Comparison) -> str:
    """Return JUnit's XML: one test case for each gated score, with the metric as its class."""
    failures = comparison.failures
    suites = ElementTree.Element("testsuites")
    counts = {"tests": str(len(comparison.verdicts)), "failures": str(len(failures)), "errors": "0", "skipped": "0"}
    suite = ElementTree.SubElement(suites, "testsuite", {"name": in_xml(f"bench {comparison.suite}"), **counts})
    for verdict in comparison.verdicts:
        labels = " ".join(f"{name}={value}" for name, value in verdict.labels.items())
        names = {"classname": in_xml(verdict.metric), "name": in_xml(labels or verdict.metric), "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", names)
        message = in_xml(sentence(verdict))
        if verdict.failed:
            ElementTree.SubElement(case, "failure", {"type": verdict.status, "message": message}).text = message
        else:
            ElementTree.SubElement(case, "system-out").text = message
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def github(comparison: Comparison) -> str:
    """Return GitHub's workflow commands for the failures, at most 10, worst first."""
    failures = comparison.failures
    shown = failures if len(failures) <= MOST_ANNOTATIONS else failures[: MOST_ANNOTATIONS - 1]
    lines = [_error(f"bench {verdict.status}", f"{verdict.name}: {sentence(verdict)}") for verdict in shown]
    if len(shown) < len(failures):
        lines.append(_error("bench gate", f"{len(failures) - len(shown)} more scores failed; see the summary"))
    return "".join(f"{line}\n" for line in lines)


def _error(title: str, message: str) -> str:
    return f"::error title={in_annotation_property(title)}::{in_annotation(message)}"


def sentence(verdict: Verdict) -> str:
    """Return a verdict in one sentence."""
    row = dict(zip((column.name for column in COLUMNS), _row(verdict), strict=True))
    if math.isnan(verdict.change):
        return f"{verdict.status}: {verdict.reason}"
    change = f"{row['base']} to {row['new']} ({row['change']}, 95% {row['95% interval']}, N = {verdict.n})"
    detectable = f"; a change of {row['detectable']} would have been detected" if row["detectable"] else ""
    return f"{change}; {verdict.reason}" if verdict.failed else f"{change}{detectable}"


def as_json(comparison: Comparison) -> str:
    """Return the comparison as JSON; null stands for NaN."""
    record = {
        "base": comparison.base, "new": comparison.new, "suite": comparison.suite,
        "passed": not comparison.failures, "identical": comparison.identical, "differs": comparison.differs,
        "alpha": comparison.alpha, "power": comparison.power, "ungated": comparison.ungated,
        "verdicts": [_finite(asdict(verdict)) for verdict in comparison.verdicts],
    }  # fmt: skip
    return in_json(json.dumps(record, indent=1)) + "\n"


def _finite(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }


COMPARISON_FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "terminal": text,
    "markdown": summary,
    "junit": junit,
    "github": github,
    "json": as_json,
}
