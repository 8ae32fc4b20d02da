"""A comparison -> what people and CI services read: a table, Markdown summary, JUnit XML, GitHub annotations, JSON."""

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

MOST_ANNOTATIONS = 10
SHOWN_IN_SUMMARY = 100  # a step's summary on GitHub ends at 1 MiB
COLUMNS = (
    Column("verdict"), Column("score"), Column("base"), Column("new"), Column("change"), Column("95% interval"),
    Column("N", "count"), Column("worse", "count"), Column("better", "count"), Column("p (Holm)", "p"),
    Column("sees"), Column("margin"),
)  # fmt: skip


def sheet(comparison: Comparison, most: int | None = None) -> Sheet:
    """Lay the verdicts out, worst first; at most `most` of them, and a note says how many are left out."""
    shown = comparison.verdicts[:most]
    left_out = len(comparison.verdicts) - len(shown)
    notes = [*explain(comparison), *(f"{left_out} more scores did not fail or fail less" for _ in range(left_out > 0))]
    notes += dict.fromkeys(f"{each.status}: {each.name}: {each.reason}" for each in comparison.failures[:20])
    strong = frozenset(place for place, each in enumerate(shown) if each.failed)
    return Sheet(title(comparison), COLUMNS, tuple(map(_row, shown)), tuple(notes), strong)


def title(comparison: Comparison) -> str:
    verdict = "FAILED" if comparison.failures else "passed"
    return f"Gate {verdict}: {comparison.new} against {comparison.base} ({comparison.suite})"


def _row(each: Verdict) -> tuple[Any, ...]:
    def said(value: float, signed: bool = False) -> str:
        unit = "%" if each.share and not signed else " pp" if each.share else ""
        return "" if math.isnan(value) else number(value, each.share, signed) + unit

    interval = "" if math.isnan(each.low) else f"[{said(each.low, True)}, {said(each.high, True)}]"
    return (
        each.status, each.name, said(each.base), said(each.new), said(each.change, True), interval, each.n,
        each.worse, each.better, each.adjusted, said(each.smallest, True).lstrip("+"),
        said(each.margin, True).lstrip("+"),
    )  # fmt: skip


def summary(comparison: Comparison) -> str:
    """Give the Markdown for a pull request or a step's summary."""
    return render(sheet(comparison, SHOWN_IN_SUMMARY), "markdown")


def text(comparison: Comparison) -> str:
    return render(sheet(comparison))


def junit(comparison: Comparison) -> str:
    """Give JUnit's XML: a test case for each gated score, its class the metric."""
    failures = comparison.failures
    suites = ElementTree.Element("testsuites")
    counts = {"tests": str(len(comparison.verdicts)), "failures": str(len(failures)), "errors": "0", "skipped": "0"}
    suite = ElementTree.SubElement(suites, "testsuite", {"name": in_xml(f"bench {comparison.suite}"), **counts})
    for each in comparison.verdicts:
        labels = " ".join(f"{name}={value}" for name, value in each.labels.items())
        names = {"classname": in_xml(each.metric), "name": in_xml(labels or each.metric), "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", names)
        if each.failed:
            found = ElementTree.SubElement(case, "failure", {"type": each.status, "message": in_xml(told(each))})
            found.text = in_xml(told(each))
        else:
            ElementTree.SubElement(case, "system-out").text = in_xml(told(each))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def github(comparison: Comparison) -> str:
    """Give GitHub's workflow commands, at most 10, worst first; nothing where nothing failed."""
    failures = comparison.failures
    shown = failures if len(failures) <= MOST_ANNOTATIONS else failures[: MOST_ANNOTATIONS - 1]
    lines = [_error(f"bench {each.status}", f"{each.name}: {told(each)}") for each in shown]
    if len(shown) < len(failures):
        lines.append(_error("bench gate", f"{len(failures) - len(shown)} more scores failed; see the summary"))
    return "".join(f"{line}\n" for line in lines)


def _error(title: str, message: str) -> str:
    return f"::error title={in_annotation_property(title)}::{in_annotation(message)}"


def told(each: Verdict) -> str:
    """Say a verdict in one sentence."""
    row = dict(zip((column.name for column in COLUMNS), _row(each), strict=True))
    if math.isnan(each.change):
        return f"{each.status}: {each.reason}"
    change = f"{row['base']} to {row['new']} ({row['change']}, 95% {row['95% interval']}, N = {each.n})"
    seen = f"; a drop of {row['sees']} would have been seen" if row["sees"] else ""
    return f"{change}; {each.reason}" if each.failed else f"{change}{seen}"


def as_json(comparison: Comparison) -> str:
    record = {
        "base": comparison.base, "new": comparison.new, "suite": comparison.suite,
        "passed": not comparison.failures, "identical": comparison.identical, "differs": comparison.differs,
        "alpha": comparison.alpha, "power": comparison.power, "ungated": comparison.ungated,
        "verdicts": [_finite(asdict(each)) for each in comparison.verdicts],
    }  # fmt: skip
    return in_json(json.dumps(record, indent=1)) + "\n"


def _finite(record: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}


COMPARISON_FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "terminal": text,
    "markdown": summary,
    "junit": junit,
    "github": github,
    "json": as_json,
}
