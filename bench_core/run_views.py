"""What hooks get of a run: the attributes that plugins may rely on, whichever classes of the host have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CellView(Protocol):
    """One result of a job: its key within the job's store entry, the metric's label and the target's."""

    @property
    def key(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def target(self) -> str | None: ...


class JobView(Protocol):
    """What one pass computes. `labels` are the source, attack and budget, or the target."""

    @property
    def address(self) -> str: ...
    @property
    def cells(self) -> Sequence[CellView]: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def images(self) -> int: ...


class PlanView(Protocol):
    """Everything that a run computes, and how much of it is in the store already."""

    @property
    def jobs(self) -> Sequence[JobView]: ...
    @property
    def cells(self) -> int: ...
    @property
    def cells_stored(self) -> int: ...


class TableCellView(Protocol):
    """An entry of a table. A void has no value and a reason, an empty one neither: `value` is then NaN."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def n(self) -> int: ...
    @property
    def white_box(self) -> bool: ...
    @property
    def best(self) -> bool: ...
    @property
    def reference(self) -> float | None: ...
    @property
    def void(self) -> str | None: ...
    @property
    def signed(self) -> bool: ...


class TableView(Protocol):
    """A table. `header` names the row labels and then the columns; each row is its labels and its cells."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def header(self) -> Sequence[str]: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def rows(self) -> Sequence[tuple[Sequence[str], Sequence[TableCellView]]]: ...
    @property
    def percent(self) -> bool: ...
    @property
    def notes(self) -> Sequence[str]: ...


class ResultView(Protocol):
    """What came out of a run; `folder` has all of it as files."""

    @property
    def folder(self) -> Path: ...
    @property
    def tables(self) -> Sequence[TableView]: ...
    @property
    def complete(self) -> bool: ...

    def records(self) -> list[dict[str, Any]]:
        """Return all scores as flat records."""

    def arrays(self, metric: str, **labels: str) -> dict[str, NDArray[Any]]:
        """Return the per-image rows of one metric under some labels."""
