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
        other = self._baseline_of(row)
        if other is None:
            return []
        return [(a, b) for a, b in self._black_box(row, other) if not (a.void or b.void)]

    def why_unpaired(self, row: Key) -> str:
        """Return why a row with a baseline has no pairs; "" if it has some, or if no score is void."""
        other = self._baseline_of(row)
        if other is None or self.pairs(row):
            return ""
        counted = {key: [score for score in self._scores(key) if not score.white_box] for key in (row, other)}
        void = [" ".join(key) for key, scores in counted.items() if scores and all(score.void for score in scores)]
        if void:
            return f"{' and '.join(void)} {'has' if len(void) == 1 else 'have'} no value that is not void"
        return "no column has a value in both" if any(s.void for scores in counted.values() for s in scores) else ""

    def _scores(self, row: Key) -> list[LabelledScore]:
        return [self.placed[row, column] for column in self.columns if (row, column) in self.placed]

    def _baseline_of(self, row: Key) -> Key | None:
        """Return the row that is another's baseline; None if it has none, or is its own."""
        baseline = self.table.baseline
        other = tuple(baseline.get(name, label) for name, label in zip(self.table.rows, row, strict=True))
        return other if baseline and other != row and other in self.rows else None

    def _black_box(self, row: Key, other: Key) -> list[Pair]:
        """Return the scores of two rows for each column that both have and that is black-box in both."""
        placed = self.placed
        both = [(placed[row, c], placed[other, c]) for c in self.columns if (row, c) in placed and (other, c) in placed]
        return [(a, b) for a, b in both if not (a.white_box or b.white_box)]


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
