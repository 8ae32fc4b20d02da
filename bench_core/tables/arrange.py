"""The scores of a table by row and column, and the pairs of scores that a row's comparison with its baseline is of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import Fault, UsageError
from ..scores.scored import LabelledScore, Scores
from ..suite.outputs import TableEntry

Key = tuple[str, ...]
Pair = tuple[LabelledScore, LabelledScore]


@dataclass(frozen=True)
class Arranged:
    """The scores of a table.

    Attributes:
        table: The suite's entry.
        rows: The labels of each row, in order.
        columns: The labels of each column, in order.
        placed: The scores by row and column.
    """

    table: TableEntry
    rows: Sequence[Key]
    columns: Sequence[Key]
    placed: Mapping[tuple[Key, Key], LabelledScore]

    def pairs(self, row: Key) -> list[Pair]:
        """Return the row's score and its baseline's for each column that is black-box and not void in both.

        Empty if the row is its own baseline, or has none.
        """
        baseline = self.table.baseline
        other = tuple(baseline.get(name, label) for name, label in zip(self.table.rows, row, strict=True))
        if not baseline or other == row or other not in self.rows:
            return []
        placed = self.placed
        both = [(placed[row, c], placed[other, c]) for c in self.columns if (row, c) in placed and (other, c) in placed]
        return [(a, b) for a, b in both if not (a.void or b.void or a.white_box or b.white_box)]


def arrange(scores: Scores, table: TableEntry, where: str) -> Arranged:
    """Arrange the scores that a table shows.

    Args:
        scores: The scores, of which those that the table selects are taken.
        table: The suite's entry.
        where: The path of the suite's file, for messages.

    Raises:
        UsageError: Two scores fall in one cell.
    """
    placed: dict[tuple[Key, Key], LabelledScore] = {}
    for score in scores.select(table.value, table.where):
        key = _key(score, table.rows), _key(score, table.columns)
        other = placed.setdefault(key, score)
        if other.labels != score.labels:
            differ = sorted(name for name in score.labels if other.labels.get(name) != score.labels[name])
            message = (
                f"two scores fall in one cell; they differ in {', '.join(differ)} (add it to rows, columns or where)"
            )
            raise UsageError(Fault(where, f"tables.{table.name}", message))
        placed[key] = score
    rows, columns = in_order(row for row, _ in placed), in_order(column for _, column in placed)
    return Arranged(table, rows, columns, placed)


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Sort keys dimension by dimension; the labels of a dimension are ordered by their first appearance."""
    unique = list(dict.fromkeys(keys))
    ranks = [{label: rank for rank, label in enumerate(dict.fromkeys(labels))} for labels in zip(*unique, strict=True)]
    return sorted(unique, key=lambda key: [rank[label] for rank, label in zip(ranks, key, strict=True)])


def _key(score: LabelledScore, dimensions: Sequence[str]) -> Key:
    return tuple(str(score.labels.get(name, "")) for name in dimensions)
