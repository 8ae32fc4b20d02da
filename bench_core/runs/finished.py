"""A finished run as publishers get it: its result and its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..registry import Registry
from ..result import Result
from ..tables.table import Table
from .load import load_result
from .record import Facts, read_record


@dataclass(frozen=True)
class FinishedRun:
    """Implements `run_views.RunView`.

    Attributes:
        result: The result, read from the run's folder.
        facts: The content of `run.json`.
    """

    result: Result
    facts: Facts

    @property
    def folder(self) -> Path:
        return self.result.folder

    @property
    def tables(self) -> Sequence[Table]:
        return self.result.tables

    @property
    def complete(self) -> bool:
        return self.result.complete

    @property
    def name(self) -> str:
        return self.result.suite.name

    @property
    def profile(self) -> str:
        return self.result.suite.profile

    @property
    def title(self) -> str:
        return self.result.suite.title

    @property
    def images(self) -> int:
        return len(self.result.selected)

    def records(self) -> list[dict[str, Any]]:
        return self.result.records()

    def arrays(self, metric: str, **labels: str) -> dict[str, NDArray[Any]]:
        return self.result.arrays(metric, **labels)


def load_finished(folder: Path, registry: Registry) -> FinishedRun:
    """Read a run's folder. Raises UsageError if it is not a run's, or a metric of the run is not installed."""
    facts = read_record(folder).model_dump(mode="json")
    return FinishedRun(load_result(folder, registry), facts)
