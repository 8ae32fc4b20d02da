"""What is wrong with the tables, plots and derived scores of a suite, found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Fault, did_you_mean
from ..reserved import RECORD, RECORD_SCORES
from ..scores.derived import CORRELATION_SCORES
from .model import OWN_DIMENSIONS, Suite
from .outputs import HistogramPlot, MapsPlot, ScatterPlot

Offered = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # label -> what it has, and the labels that it adds


def outcome_faults(suite: Suite, metrics: Mapping[str, Any]) -> list[Fault]:
    """Hold every name that a table, a plot or a derived score uses against what the metrics (by label) offer."""
    return [Fault(suite.file, key, message) for key, message in _faults(suite, metrics)]


def _faults(suite: Suite, metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    scores = {label: (_offer(each, "scores"), _offer(each, "labels")) for label, each in metrics.items()}
    rows = {label: (_offer(each, "rows"), ()) for label, each in metrics.items()}
    scores[RECORD] = rows[RECORD] = (RECORD_SCORES, ())
    derived: Offered = dict.fromkeys(suite.correlations, (CORRELATION_SCORES, ()))
    for label in derived:
        if label in scores:
            yield f"correlations.{label}", "is a metric's label as well"
    for label, worst in suite.worst_case.items():
        yield from _value(f"worst_case.{label}.value", worst.value, scores)
    for label, pair in suite.correlations.items():
        for name in ("x", "y"):
            yield from _value(f"correlations.{label}.{name}", getattr(pair, name), scores)
            yield from _dimensions(f"correlations.{label}", pair.where, _known(suite, getattr(pair, name), scores))
    for index, table in enumerate(suite.tables):
        key, offered = f"tables.{index}", {**scores, **derived}
        yield from _value(f"{key}.value", table.value, offered)
        used = (*table.rows, *table.columns, *table.where, *table.baseline)
        yield from _dimensions(key, used, _known(suite, table.value, offered))
        if table.reference and not (Path(suite.file).parent / table.reference.file).is_file():
            yield f"{key}.reference.file", f"no such file: {table.reference.file}"
    for value in suite.gate:
        yield from _value(f"gate.{value}", value, scores)
    names = [plot.name for plot in suite.plots]
    for index, plot in enumerate(suite.plots):
        key = f"plots.{index}"
        if plot.name in names[:index]:
            yield f"{key}.name", f'"{plot.name}" stands twice'
        if isinstance(plot, ScatterPlot):
            if plot.value not in suite.correlations:
                known = did_you_mean(plot.value, suite.correlations)
                yield f"{key}.value", f'no correlation "{plot.value}" {known}'
        else:
            has_rows = isinstance(plot, HistogramPlot | MapsPlot)
            yield from _value(f"{key}.value", plot.value, rows if has_rows else {**scores, **derived})
        yield from _dimensions(key, plot.dimensions, _known(suite, plot.value, {**scores, **derived}))


def _offer(metric: Any, name: str) -> tuple[str, ...]:
    return tuple(getattr(metric, name, ()))


def _value(key: str, value: str, offered: Offered) -> Iterator[tuple[str, str]]:
    label, _, name = value.partition(".")
    if label not in offered:
        yield key, f'unknown name "{label}" {did_you_mean(label, offered)}'
    elif offered[label][0] and name not in offered[label][0]:
        would_do = ", ".join(f"{label}.{each}" for each in offered[label][0])
        yield key, f'found "{value}" (would do: {would_do})'


def _known(suite: Suite, value: str, offered: Offered) -> set[str]:
    return {*OWN_DIMENSIONS, *suite.swept, *offered.get(value.partition(".")[0], ((), ()))[1]}


def _dimensions(key: str, used: Sequence[str] | Mapping[str, Any], known: set[str]) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(used):
        if name not in known:
            yield key, f'unknown dimension "{name}" (known: {", ".join(sorted(known))})'
