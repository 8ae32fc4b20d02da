"""Protocols of the objects that hooks receive: plugins may rely on these attributes and on no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CellView(Protocol):
    """One result of a job: its key within the job's store entry, and the labels of its metric and target."""

    @property
    def key(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def target(self) -> str | None: ...


class JobView(Protocol):
    """A batch of images with one attack, or with none. `labels` are the source, attack and budget, or the target."""

    @property
    def address(self) -> str: ...
    @property
    def cells(self) -> Sequence[CellView]: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def images(self) -> int: ...


class PlanView(Protocol):
    """The jobs of a run, the number of their cells, and how many of these are in the store already."""

    @property
    def jobs(self) -> Sequence[JobView]: ...
    @property
    def cells(self) -> int: ...
    @property
    def cells_stored(self) -> int: ...


class TableCellView(Protocol):
    """A cell of a table.

    `value` is NaN if the cell is empty or void; a void cell has the reason in `void`. `low` and `high` are the ends of
    the 95% interval, `n` is the number of images, `reference` is the published value.
    """

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
    """A table. `header` names the `dimensions` row labels and then the columns; a row is its labels and its cells."""

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
    """The results of a run; `folder` has all of them as files."""

    @property
    def folder(self) -> Path: ...
    @property
    def tables(self) -> Sequence[TableView]: ...
    @property
    def complete(self) -> bool: ...

    def records(self) -> list[dict[str, Any]]:
        """Return all scores as flat records."""

    def arrays(self, metric: str, **labels: str) -> dict[str, NDArray[Any]]:
        """Return the per-image rows [n, ...] of one metric by name, for the attack and models that `labels` choose."""


class RunView(ResultView, Protocol):
    """A finished run, read from its folder.

    `facts` is the content of its `run.json`: the suite, the networks with the digests of their weights, versions,
    environment, warnings, notes and the command that reproduces the run.
    """

    @property
    def name(self) -> str: ...
    @property
    def profile(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def images(self) -> int: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


class Publisher(Protocol):
    """Hands runs over to another tool."""

    def publish(self, run: RunView) -> str:
        """Hand over a run; return where it is now, as the end of the sentence "published to ...".

        Raises:
            UsageError: An option does not fit the run. Nothing may have been published then.
        """
