"""Finds texts in an untrusted record that are not safe to show: markup, control characters, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from ..errors import Fault
from ..runs.folder import RECORD_FILE
from ..runs.record import RunRecord
from ..suite.model import Suite

MARKUP = re.compile(r"<[A-Za-z/!?]|javascript:", re.IGNORECASE)
LONGEST_LABEL, LONGEST_TEXT, MOST_TEXTS = 200, 4000, 100_000
SHOWN = (
    "environment",
    "versions",
    "plugins",
    "notes",
    "warnings",
    "voids",
    "global_seed",
    "deviations",
    "decisions",
    "other_runs",
)
NO_NAMES = ("file", "overrides")  # keys of a suite that no page shows: its path and its author's command line


def text_faults(record: RunRecord) -> Iterator[Fault]:
    """Find texts that are not safe to show on a page or in a terminal: at most one for each key of the record."""
    yield from _name_faults(record.suite)
    suite = record.suite.model_dump(mode="json", exclude=set(NO_NAMES))
    for key, value in suite.items():
        for text in texts(value):
            if MARKUP.search(text) or not text.isprintable():
                yield Fault(RECORD_FILE, f"suite.{key}", f"has markup or control characters: {text[:60]}")
                break
    facts = record.model_dump(mode="json", include=set(SHOWN))
    for key in SHOWN:
        for count, text in enumerate(texts(facts[key])):
            wrong = not re.sub(r"\s", " ", text).isprintable() or len(text) > LONGEST_TEXT
            if wrong or count > MOST_TEXTS:
                yield Fault(
                    RECORD_FILE, key, f"has a text that no page can show: {text[:60]}" if wrong else "is too long"
                )
                break
    if not _is_bench_command(record.reproduce):
        yield Fault(RECORD_FILE, "reproduce", f"is no command of bench: {record.reproduce[:60]}")


def _name_faults(suite: Suite) -> Iterator[Fault]:
    """Find labels and titles with markup, or that are too long or cannot be printed."""
    names = {
        "title": [suite.title], "name": [suite.name], "profile": [suite.profile], "attacks": suite.attacks,
        "given": suite.given, "metrics": suite.metrics, "models": suite.models, "budgets": suite.budgets,
        "sources": suite.members_by_source, "targets": suite.targets,
        "tables": [text for table in suite.tables for text in (table.name, table.title or "")],
        "plots": [text for plot in suite.plots for text in (plot.name, plot.title or "")],
    }  # fmt: skip
    for key, found in names.items():
        for text in found:
            if MARKUP.search(text):
                yield Fault(RECORD_FILE, f"suite.{key}", f"has markup in a name: {text[:60]}")
            elif not text.isprintable() or len(text) > LONGEST_LABEL:
                yield Fault(RECORD_FILE, f"suite.{key}", f"has a name that no page can show: {text[:60]}")


def texts(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value, the keys of its objects included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)


def _is_bench_command(text: str) -> bool:
    """Return whether a text is a single command of bench, so that pasting it into a shell runs nothing else."""
    try:
        words = shlex.split(text)
    except ValueError:
        return False
    return words[:1] == ["bench"] and text.isprintable() and shlex.join(words) == text
