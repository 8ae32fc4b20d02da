"""Computes a run's result from its rows: scores, derived scores, warnings and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import Fault, UsageError
from ..result import Result
from ..scores.derived import derive
from ..scores.rows import RowSet, Voids
from ..scores.scored import Scores
from ..scores.summarise import summarise
from ..scores.warnings import flags, warnings
from ..suite.model import Suite
from ..suite.outputs import TableEntry
from ..tables.pivot import pivot
from ..tables.table import Table
from ..types import Metric

PLAIN = "pgd"  # the attack whose success warnings compare with that of others


def score_run(
    suite: Suite,
    folder: Path,
    rows: Sequence[RowSet],
    metrics: Mapping[str, Metric],
    selected: Sequence[int],
    truth: Sequence[int],
    published: Mapping[str, str],
    voids: Voids,
    warn: bool,
) -> Result:
    """Compute everything that follows from the rows of a run.

    Args:
        suite: The suite.
        folder: The run's folder.
        rows: The rows of every metric.
        metrics: The metrics, by their labels.
        selected: The positions of the attacked images in the dataset.
        truth: The classes of the attacked images.
        published: The text of the CSV file of published values, for each table that has one.
        voids: The reason of every void cell.
        warn: Whether to look for warnings.
    """
    summarised = summarise(rows, metrics, suite.images.rule, selected, truth)
    scores = Scores([*summarised, *derive(Scores(summarised), suite)])
    plain = [label for label, attack in suite.attacks.items() if attack.recipe == PLAIN]
    warned = warnings(rows, scores, suite.budgets, plain) if warn else []
    result = Result(suite, folder, scores, (), voids, tuple(rows), tuple(selected), warned, published)
    return replace(result, tables=[make_table(result, entry) for entry in suite.tables])


def make_table(result: Result, entry: TableEntry) -> Table:
    """Build one table of a result, with the warnings about its scores as notes."""
    table = pivot(result.scores, entry, result.suite.title, result.published.get(entry.name), result.suite.file)
    lines = flags(result.scores.select(entry.value, entry.where), result.warned)
    return replace(table, notes=(*table.notes, *(line for line in lines if line.startswith("W: "))))


def pivots(result: Result, rows: Sequence[str]) -> list[Table]:
    """Pivot every table that has all of these labels again, with them as rows and its other labels as columns.

    Raises UsageError where no table has them all.
    """
    suite, made = result.suite, []
    for entry in suite.tables:
        dimensions = [*entry.rows, *entry.columns]
        if not set(rows) <= set(dimensions):
            continue
        columns = [name for name in dimensions if name not in rows]
        baseline = entry.baseline if set(entry.baseline) <= set(rows) else {}
        pivoted = entry.model_copy(update={"rows": list(rows), "columns": columns, "baseline": baseline})
        made.append(make_table(result, pivoted))
    if not made:
        known = sorted({name for table in suite.tables for name in (*table.rows, *table.columns)})
        message = f"no table has {' and '.join(rows)} (known: {', '.join(known)})"
        raise UsageError(Fault("--by", "", message))
    return made
