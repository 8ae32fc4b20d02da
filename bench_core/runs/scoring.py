"""Computes a run's result from its rows: scores, derived scores, warnings and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import Fault, UsageError
from ..reserved import PREDICTED, RECORD
from ..result import Result
from ..scores.derived import derive
from ..scores.only import Outcomes
from ..scores.optimality import other_runs_notes
from ..scores.perturbations import perturbation_notes
from ..scores.rows import RowSet, Voids
from ..scores.scored import Scores
from ..scores.summarise import summarise
from ..scores.warnings import attacked, flags, warnings
from ..suite.decide import decided_table
from ..suite.model import Suite
from ..suite.outputs import TableEntry
from ..tables.decide import decide
from ..tables.decision import Decisions
from ..tables.pivot import pivot
from ..tables.table import Table
from ..tables.views import with_decisions
from ..types import Metric, Precision

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
    planned: int | None = None,
    until_decided: bool = False,
    precision: Precision = "float32",
    elsewhere: Sequence[RowSet] = (),
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
        planned: The number of images that the run was to attack; by default those that it attacked.
        until_decided: Whether the run was to stop when no comparison is undecided.
        precision: The number type of the attacks' gradients.
        elsewhere: The distances that other runs reached, where optimality counts them.
    """

    def scored(rows: Sequence[RowSet], only: Sequence[str]) -> Scores:
        by_metric = {label: [*metric.only, *only] for label, metric in suite.metrics.items()} | {RECORD: only}
        summarised = summarise(rows, metrics, suite.images.rule, selected, truth, by_metric)
        derived = derive(Scores(summarised), suite, rows, elsewhere)
        return Scores([*summarised, *(replace(score, only=score.only or tuple(only)) for score in derived)])

    scores = scored(rows, ())
    restricted = {tuple(only): scored(_rows_for(suite, rows, only), only) for only in _restrictions(suite)}
    plain = [label for label, attack in suite.attacks.items() if attack.recipe == PLAIN]
    warned = warnings(rows, scores, suite.budgets, suite.members_by_source, plain) if warn else []
    result = Result(
        suite, folder, scores, (), voids, tuple(rows), tuple(selected), warned, published,
        planned=len(selected) if planned is None else planned, restricted=restricted, until_decided=until_decided,
        precision=precision, elsewhere=tuple(elsewhere),
    )  # fmt: skip
    result = replace(result, decisions=decide_result(result, metrics))
    return replace(result, tables=[make_table(result, entry) for entry in suite.tables])


def decide_result(result: Result, metrics: Mapping[str, Metric]) -> Decisions | None:
    """Decide the comparisons of the table that the suite's `[decide]` names; None without `[decide]`."""
    suite = result.suite
    table = decided_table(suite.decide, suite.tables) if suite.decide else None
    if suite.decide is None or table is None:
        return None
    by_step = {
        f"{label}.{name}": f"{label}.{steps}"
        for label, metric in metrics.items()
        for name, steps in dict(getattr(metric, "by_step", {})).items()
    }
    return decide(_scores_of(result, table), table, suite.decide, by_step, len(result.selected), suite.file)


def _scores_of(result: Result, entry: TableEntry) -> Scores:
    return result.restricted[tuple(entry.only)] if entry.only else result.scores


def make_table(result: Result, entry: TableEntry) -> Table:
    """Build one table of a result, with the images that it counts and the warnings about its scores as notes."""
    scores = _scores_of(result, entry)
    table = pivot(scores, entry, result.suite.title, result.published.get(entry.name), result.suite.file)
    decisions = result.decisions
    if decisions is not None and decisions.table == entry.name and entry in result.suite.tables:
        table = with_decisions(table, decisions)
    shown = scores.select(entry.value, entry.where)
    notes = [_counted(result, entry, shown)] if entry.only else []
    if not shown:
        notes.append(f"nothing to show of {entry.value}{'' if result.suite.targets else ': the suite has no targets'}")
    if len(result.selected) < result.planned:
        why = "no comparison was left undecided" if result.decided_early else "run the suite again for the rest"
        notes.append(f"the first {len(result.selected)} of {result.planned} images ({why})")
    if result.precision != "float32" and any(score.labels.attack for score in shown):
        notes.append(f"the attacks' gradients were computed in {result.precision} (--precision)")
    notes += perturbation_notes(result.suite, shown, result.scores)
    notes += other_runs_notes(result.suite, entry.value, shown, result.elsewhere)
    warned = (line for line in flags(shown, result.warned) if line.startswith("W: "))
    return replace(table, notes=(*table.notes, *notes, *warned))


def _restrictions(suite: Suite) -> list[list[str]]:
    """Return what tables restrict their images to, each once."""
    restrictions: list[list[str]] = []
    for table in suite.tables:
        if table.only and table.only not in restrictions:
            restrictions.append([*table.only])
    return restrictions


def _rows_for(suite: Suite, rows: Sequence[RowSet], only: Sequence[str]) -> list[RowSet]:
    """Return the rows that the tables with a restriction need: to summarise all would double the time."""
    labels = {table.value.partition(".")[0] for table in suite.tables if table.only == only}
    needed = {*labels, RECORD, PREDICTED} if labels <= {*suite.metrics, RECORD} else {row.metric for row in rows}
    return [row for row in rows if row.metric in needed]


def _counted(result: Result, entry: TableEntry, shown: Scores) -> str:
    """Return a line with the number of images of each attack that a table with `only` counts."""
    outcomes = Outcomes(result.rows)
    attacks = dict.fromkeys(attacked(score.labels) for score in shown)
    counts = [outcomes.counts(attack, entry.only) for attack in attacks]
    return f"only images with {' and '.join(entry.only)}: {'; '.join(counts)}"


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
