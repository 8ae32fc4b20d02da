"""Select and group a run's rows, for plots that show rows instead of scores."""

from __future__ import annotations

from collections.abc import Sequence

from ..scores.rows import RowSet
from ..suite.plot_entries import BasePlotEntry
from ..tables.arrange import in_order
from .series import Key


def grouped_rows(rows: Sequence[RowSet], plot: BasePlotEntry, dimensions: Sequence[str]) -> dict[Key, list[RowSet]]:
    """Group the rows of a plot's metric by their labels, without voids.

    Args:
        rows: The rows of a run.
        plot: The suite's entry, whose `value` is METRIC.ROW.
        dimensions: The labels to group by.

    Raises:
        ValueError: The metric has no such row.
    """
    metric, _, name = plot.value.partition(".")
    groups: dict[Key, list[RowSet]] = {}
    for row in rows:
        if row.metric != metric or row.void or not row.labels.matches(plot.where):
            continue
        if name not in row.arrays:
            raise ValueError(f'no row "{name}" (try {", ".join(sorted(row.arrays))})')
        groups.setdefault(tuple(str(row.labels.get(label, "")) for label in dimensions), []).append(row)
    return {key: groups[key] for key in in_order(groups)}
