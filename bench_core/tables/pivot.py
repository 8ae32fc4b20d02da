"""Pivots scores into a table with intervals, means over black-box targets, paired differences and published values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..scores.images import Unpairable, difference, mean_interval, mean_of
from ..scores.labels import Relation
from ..scores.scored import LabelledScore, Scores
from ..statistics import bootstrap
from ..suite.outputs import ReferenceEntry, TableEntry
from .arrange import Arranged, Key, arrange
from .table import Table, TableCell

SHARED = "the target shares weights with the source (the same network, a member of it, or a defence of it)"
WHITE_BOX = f"° white-box: {SHARED}; not in the mean"


def pivot(scores: Scores, table: TableEntry, title: str, published: str | None, where: str) -> Table:
    """Arrange scores in a table, as a suite's `[[tables]]` entry describes.

    Args:
        scores: The scores of a run.
        table: The entry.
        title: The title of a table that has none of its own.
        published: The text of the CSV file that the entry's `reference` names.
        where: The path of the suite's file, for messages.

    Raises:
        UsageError: Two scores fall in one cell.
    """
    chosen = scores.select(table.value, table.where)
    arranged = arrange(chosen, table, where)
    placed, row_keys, column_keys = arranged.placed, arranged.rows, arranged.columns
    references = _references(table.reference, published) if table.reference and published else []
    rows = []
    for row in row_keys:
        cells = [_cell(placed.get((row, column)), references) for column in column_keys]
        if table.mean:
            cells.append(_mean(Scores(placed[row, c] for c in column_keys if (row, c) in placed)))
        if table.baseline:
            cells.append(_difference(arranged, row))
        rows.append((row, cells))
    extra = ["mean"] * table.mean + [f"mean - {' '.join(table.baseline.values())}"] * bool(table.baseline)
    over = _over(chosen, len(column_keys))
    header = (*table.rows, *(" ".join(column) or table.value_label or table.value for column in column_keys), *extra)
    return Table(
        table.name, table.title or title, header, len(table.rows), _with_best(rows, table.best, len(column_keys)),
        table.format == "percent", _notes(rows, chosen, table, over), over,
    )  # fmt: skip


def _cell(score: LabelledScore | None, references: Sequence[tuple[Mapping[str, str], float]]) -> TableCell:
    if score is None:
        return TableCell()
    if score.void:
        return TableCell(void=score.void)
    columns = references[0][0] if references else {}
    labels = {name: str(score.labels[name]) for name in columns if name in score.labels}
    reference = next((value for row, value in references if labels.items() <= row.items()), None)
    s = score.score
    return TableCell(s.value, s.low, s.high, s.n, score.white_box, reference=reference)


def _references(reference: ReferenceEntry, published: str) -> list[tuple[Mapping[str, str], float]]:
    lines = csv.DictReader(io.StringIO(published, newline=""))
    rows = [row for row in lines if all(row.get(k) == v for k, v in reference.where.items())]
    skip = {reference.value, *reference.where}
    return [
        ({k: v for k, v in row.items() if k not in skip}, float(row[reference.value]) * reference.scale) for row in rows
    ]


def _mean(scores: Scores) -> TableCell:
    """Average the black-box columns. There is no interval where their values cannot be paired (see `mean_interval`)."""
    counted = scores.black_box()
    if len(scores.valid()) < len(scores) or not counted:
        return TableCell()
    value = float(np.mean([score.score.value for score in counted]))
    try:
        low, high = mean_interval([score.per_image for score in counted])
    except Unpairable:
        low = high = math.nan
    return TableCell(value, low, high, min(score.score.n for score in counted))


def _difference(arranged: Arranged, row: Key) -> TableCell:
    """Return the mean difference from the baseline row over the black-box columns of both, paired image by image.

    The two rows are paired column by column; different columns may be of different images (see `mean_interval`). The
    cell is void where a column's two scores are not of the same images, or where one of the rows is void.
    """
    both, what = arranged.pairs(row), f"no difference from {' '.join(arranged.table.baseline.values())}"
    if not both:
        reason = arranged.why_unpaired(row)
        return TableCell(void=reason and f"{what}: {reason}")
    try:
        ours, theirs = [a.per_image for a, _ in both], [b.per_image for _, b in both]
        if len({series.images for series in (*ours, *theirs)}) == 1:
            gaps = difference(mean_of(ours), mean_of(theirs)).values
            return TableCell(float(np.mean(gaps)), *bootstrap(gaps), len(gaps), signed=True)
        differences = [difference(a, b) for a, b in zip(ours, theirs, strict=True)]
        value = float(np.mean([np.mean(column.values) for column in differences]))
        n = min(len(column.values) for column in differences)
        return TableCell(value, *mean_interval(differences), n, signed=True)
    except Unpairable as error:
        return TableCell(void=f"{what}: {error}")


def _with_best(
    rows: Sequence[tuple[Key, list[TableCell]]], best: str | None, columns: int
) -> tuple[tuple[Key, tuple[TableCell, ...]], ...]:
    """Mark the best value of each column among the rows that differ only in the last row dimension."""
    result = []
    for key, cells in rows:
        group = [other for other_key, other in rows if other_key[:-1] == key[:-1]]
        marked = []
        for index, cell in enumerate(cells):
            values = [other[index].value for other in group if not math.isnan(other[index].value)]
            top = math.nan  # equal to no value
            if best and len(values) > 1 and index < columns:
                top = max(values) if best == "max" else min(values)
            marked.append(replace(cell, best=cell.value == top))
        result.append((key, tuple(marked)))
    return tuple(result)


def _over(scores: Scores, columns: int) -> str:
    """Return what a difference is the mean of: attacks on the sources themselves have no black-box targets."""
    if any(score.labels.relation is Relation.BLACK_BOX for score in scores):
        return "black-box targets"
    return "all columns" if columns > 1 else ""


def _notes(
    rows: Sequence[tuple[Key, list[TableCell]]], scores: Scores, table: TableEntry, over: str
) -> tuple[str, ...]:
    counts = sorted({score.score.n for score in scores.valid()})
    unit = " and ".join(sorted({score.unit for score in scores}))
    notes = [f"N = {' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))} {unit}"] if counts else []
    cells = [cell for _, row in rows for cell in row]
    if any(cell.white_box for cell in cells):
        notes.append(WHITE_BOX)
    if any(cell.reference is not None for cell in cells):
        notes.append("(published value in brackets)")
        if table.reference and table.reference.note:
            notes.append(f"published: {table.reference.note}")
    if table.baseline:
        notes.append(f"difference: paired by image, {over and f'{over} of both, '}95% bootstrap interval")
    reasons = {score.void for score in scores} | {cell.void for cell in cells}
    return (*notes, *(f"void: {reason}" for reason in sorted(filter(None, reasons))))
