"""Scores -> a pivoted table: intervals, means over black-box targets, paired differences, published values."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError
from ..scores.summarise import LabelledScore
from ..statistics import bootstrap
from ..suite.outputs import ReferenceTable, TableTable
from .table import Table, TableCell

Key = tuple[str, ...]


def pivot(scores: Sequence[LabelledScore], table: TableTable, title: str, folder: Path, where: str) -> Table:
    """Lay scores out as a suite's `[[tables]]` entry says. Raises UsageError where two scores fall in one cell."""
    wanted = shown(scores, table)
    placed: dict[tuple[Key, Key], LabelledScore] = {}
    for each in wanted:
        place = _key(each, table.rows), _key(each, table.columns)
        if place in placed and placed[place].labels != each.labels:
            differ = sorted(name for name in each.labels if placed[place].labels.get(name) != each.labels[name])
            message = (
                f"two scores fall in one cell; they differ in {', '.join(differ)} (add it to rows, columns or where)"
            )
            raise UsageError(Fault(where, f"tables.{table.name}", message))
        placed[place] = each
    row_keys, column_keys = in_order(row for row, _ in placed), in_order(column for _, column in placed)
    references = _references(table.reference, folder) if table.reference else []
    rows = []
    for row in row_keys:
        cells = [_cell(placed.get((row, column)), references) for column in column_keys]
        if table.mean:
            cells.append(_mean([placed[row, c] for c in column_keys if (row, c) in placed]))
        if table.baseline:
            cells.append(_difference(row, row_keys, column_keys, placed, table))
        rows.append((row, cells))
    extra = ["mean"] * table.mean + [f"mean - {' '.join(table.baseline.values())}"] * bool(table.baseline)
    header = (*table.rows, *(" ".join(column) or table.value for column in column_keys), *extra)
    return Table(
        table.name, table.title or title, header, len(table.rows), _with_best(rows, table.best, len(column_keys)),
        table.format == "percent", _notes(rows, wanted, table),
    )  # fmt: skip


def shown(scores: Iterable[LabelledScore], table: TableTable) -> list[LabelledScore]:
    """Give the scores that a table is of, voids of its metric included."""
    label = table.value.partition(".")[0]
    return [
        each
        for each in scores
        if (each.metric == table.value or (each.void and each.metric == label))
        and all(str(each.labels.get(name)) == str(value) for name, value in table.where.items())
    ]


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Sort keys dimension by dimension, the labels of each in the order of their first appearance."""
    found = list(dict.fromkeys(keys))
    ranks = [{label: rank for rank, label in enumerate(dict.fromkeys(labels))} for labels in zip(*found, strict=True)]
    return sorted(found, key=lambda key: [rank[label] for rank, label in zip(ranks, key, strict=True)])


def _key(score: LabelledScore, dimensions: Sequence[str]) -> Key:
    return tuple(str(score.labels.get(name, "")) for name in dimensions)


def _cell(score: LabelledScore | None, references: Sequence[tuple[Mapping[str, str], float]]) -> TableCell:
    if score is None:
        return TableCell()
    if score.void:
        return TableCell(void=score.void)
    labels = score.labels
    reference = next(
        (value for row, value in references if all(str(labels.get(k)) == v for k, v in row.items() if k in labels)),
        None,
    )
    s = score.score
    return TableCell(s.value, s.low, s.high, s.n, labels.get("relation") == "white-box", reference=reference)


def _references(reference: ReferenceTable, folder: Path) -> list[tuple[Mapping[str, str], float]]:
    with (folder / reference.file).open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if all(row.get(k) == v for k, v in reference.where.items())]
    skip = {reference.value, *reference.where}
    return [
        ({k: v for k, v in row.items() if k not in skip}, float(row[reference.value]) * reference.scale) for row in rows
    ]


def _black_box(scores: Sequence[LabelledScore]) -> list[LabelledScore]:
    return [each for each in scores if not each.void and each.labels.get("relation") != "white-box"]


def _per_image(scores: Sequence[LabelledScore]) -> NDArray[np.float64] | None:
    """Average each image over some scores; None where they are not of the same images."""
    values = [each.score.per_image for each in scores]
    if not values or any(each is None for each in values) or len({len(v) for v in values if v is not None}) != 1:
        return None
    return np.mean(np.stack([v for v in values if v is not None]), axis=0)  # type: ignore[no-any-return]


def _mean(scores: Sequence[LabelledScore]) -> TableCell:
    """Average over the black-box columns; the interval is the bootstrap over images, all columns moved together."""
    counted = _black_box(scores)
    if any(each.void for each in scores) or not counted:
        return TableCell()
    images = _per_image(counted)
    value = float(np.mean([each.score.value for each in counted]))
    low, high = bootstrap(images) if images is not None else (math.nan, math.nan)
    return TableCell(value, low, high, min(each.score.n for each in counted))


def _difference(
    row: Key,
    rows: Sequence[Key],
    columns: Sequence[Key],
    placed: Mapping[tuple[Key, Key], LabelledScore],
    table: TableTable,
) -> TableCell:
    """Give the mean difference from the baseline row, over black-box columns of both, paired image by image."""
    other = tuple(table.baseline.get(name, label) for name, label in zip(table.rows, row, strict=True))
    if other == row or other not in rows:
        return TableCell()
    pairs = [(placed.get((row, c)), placed.get((other, c))) for c in columns]
    both = [(a, b) for a, b in pairs if a and b and _black_box([a, b]) == [a, b]]
    ours, theirs = _per_image([a for a, _ in both]), _per_image([b for _, b in both])
    if ours is None or theirs is None or len(ours) != len(theirs):
        return TableCell()
    low, high = bootstrap(ours - theirs)
    return TableCell(float(np.mean(ours - theirs)), low, high, len(ours), signed=True)


def _with_best(
    rows: Sequence[tuple[Key, list[TableCell]]], best: str | None, columns: int
) -> tuple[tuple[Key, tuple[TableCell, ...]], ...]:
    """Mark the best of the rows that differ only in the last row dimension, column by column."""
    result = []
    for key, cells in rows:
        group = [other for other_key, other in rows if other_key[:-1] == key[:-1]]
        marked = []
        for place, cell in enumerate(cells):
            values = [other[place].value for other in group if not math.isnan(other[place].value)]
            top = (
                (max(values) if best == "max" else min(values))
                if best and len(values) > 1 and place < columns
                else None
            )
            marked.append(TableCell(**{**vars(cell), "best": top is not None and cell.value == top}))
        result.append((key, tuple(marked)))
    return tuple(result)


def _notes(
    rows: Sequence[tuple[Key, list[TableCell]]], scores: Sequence[LabelledScore], table: TableTable
) -> tuple[str, ...]:
    counts = sorted({each.score.n for each in scores if not each.void})
    unit = " and ".join(sorted({each.unit for each in scores}))
    notes = [f"N = {' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))} {unit}"] if counts else []
    cells = [cell for _, row in rows for cell in row]
    if any(cell.white_box for cell in cells):
        notes.append("° white-box: the target is, or is a member of, the source; not in the mean")
    if any(cell.reference is not None for cell in cells):
        notes.append("(published value in brackets)")
    if table.baseline:
        notes.append("difference: paired by image, black-box targets of both, 95% bootstrap interval")
    reasons = {each.void for each in scores if each.void}
    return (*notes, *(f"void: {reason}" for reason in sorted(filter(None, reasons))))
