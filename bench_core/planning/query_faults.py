"""What does not fit together in a suite where queries are counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import Fault
from ..suite.model import Suite
from .uses import MetricUse


def query_faults(suite: Suite, uses: Iterable[MetricUse]) -> Iterator[Fault]:
    """Find metrics of queries under budgets that count none, and rounding of what has been asked already."""
    limited = [label for label, entry in suite.budgets.items() if entry.queries is not None]
    unlimited = [label for label in suite.budgets if label not in limited]
    counting = [use.label for use in uses if "queries" in use.needs]
    for label in counting:
        if unlimited:
            found = f"counts queries, but budgets.{unlimited[0]} gives gradients"
            hint = f'(try budgets.{unlimited[0]}.access = "scores" and queries = 1000)'
            yield Fault(suite.file, f"metrics.{label}", f"{found} {hint}")
    if limited and suite.quantise:
        found = f"found true, but under budgets.{limited[0]} the images that were asked about are judged as they were"
        yield Fault(suite.file, "quantise", f"{found} (try false)")
