"""A run's rows, chosen and grouped for plots that show them as they are."""

from __future__ import annotations

from collections.abc import Sequence

from ..scores.summarise import RowSet
from ..suite.outputs import Plot
from ..tables.pivot import in_order
from .series import Key


def grouped_rows(rows: Sequence[RowSet], plot: Plot, dimensions: Sequence[str]) -> dict[Key, list[RowSet]]:
    """Group the rows of a plot's metric by some labels, voids left out. Raises ValueError where it has no such row."""
    metric, _, name = plot.value.partition(".")
    groups: dict[Key, list[RowSet]] = {}
    for each in rows:
        if each.metric != metric or each.void:
            continue
        if any(str(each.labels.get(k)) != str(v) for k, v in plot.where.items()):
            continue
        if name not in each.arrays:
            raise ValueError(f'no row "{name}" (would do: {", ".join(sorted(each.arrays))})')
        groups.setdefault(tuple(str(each.labels.get(d, "")) for d in dimensions), []).append(each)
    return {key: groups[key] for key in in_order(groups)}
