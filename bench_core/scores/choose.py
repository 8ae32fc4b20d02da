"""One set of rows, chosen by its metric and enough of its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import Fault, UsageError, did_you_mean
from .rows import RowSet


def choose_rows(rows: Sequence[RowSet], metric: str, labels: Mapping[str, str]) -> RowSet:
    """Return the set of rows of a metric that has some labels.

    Raises:
        UsageError: No set of rows, or more than one, has them.
    """
    left = [row for row in rows if row.metric == metric]
    if not left:
        raise _error(f'unknown metric "{metric}" {did_you_mean(metric, {row.metric for row in rows})}')
    for name, label in labels.items():
        known = {str(row.labels[name]) for row in left if name in row.labels}
        if not known:
            names = {name for row in left for name in row.labels}
            raise _error(f'{metric} has no label "{name}" {did_you_mean(name, names)}')
        left = [row for row in left if str(row.labels.get(name)) == str(label)]
        if not left:
            raise _error(f'{metric}: {name}: found "{label}" {did_you_mean(str(label), known)}')
    if len(left) > 1:
        names = {name for row in left for name in row.labels}
        differ = sorted(name for name in names if len({str(row.labels.get(name, "")) for row in left}) > 1)
        found = f"{len(left)} sets of rows of {metric} have these labels"
        raise _error(f"{found}; they differ in {', '.join(differ)} (choose one of each)")
    return left[0]


def _error(message: str) -> UsageError:
    return UsageError(Fault("arrays", "", message))
