"""The result of a run: scores, tables, rows, and what is wrong with them. Plain data; no network and no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .scores.rows import RowSet, Voids
from .scores.scored import LabelledScore, Scores, covers
from .scores.warnings import Warned
from .suite.model import Suite
from .types import Precision

if TYPE_CHECKING:
    from .plots.picture import Picture
    from .tables.decision import Decisions
    from .tables.shown import ShownTable
    from .tables.table import Table


@dataclass(frozen=True)
class Result:
    """The outcome of a run.

    Attributes:
        suite: The suite, with profile and overrides merged.
        folder: The run's folder.
        scores: All scores with their labels.
        tables: The suite's tables.
        voids: The reason of every void cell.
        rows: The per-image rows of every metric.
        selected: The positions of the attacked images in the dataset.
        warned: The warnings; empty where they are switched off.
        published: The text of the CSV file of published values, for each table that has one.
        planned: The number of images that the run was to attack. It attacked fewer if it was interrupted.
        notes: What the dataset and the metrics say about themselves.
        exhausted: Whether the suite asks for more images than the dataset has that can be attacked.
        restricted: The scores over the images with some outcomes only, for each table that has `only`.
        decisions: Which comparisons are decided, if the suite or the user asks for it.
        until_decided: Whether the run was to stop when no comparison is undecided.
        precision: The number type of the attacks' gradients.
        elsewhere: The distances that other runs reached, where optimality counts them.
    """

    suite: Suite
    folder: Path
    scores: Scores
    tables: Sequence[Table]
    voids: Voids = field(default_factory=dict)
    rows: Sequence[RowSet] = ()
    selected: Sequence[int] = ()
    warned: Sequence[Warned] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    planned: int = 0
    notes: Sequence[str] = ()
    exhausted: bool = False
    restricted: Mapping[tuple[str, ...], Scores] = field(default_factory=dict)
    decisions: Decisions | None = None
    until_decided: bool = False
    precision: Precision = "float32"
    elsewhere: Sequence[RowSet] = ()

    @property
    def decided_early(self) -> bool:
        """Whether the run stopped before its last image, because no comparison was undecided."""
        ended = self.decisions is not None and self.decisions.ended_at is not None
        return self.until_decided and ended and len(self.selected) < self.planned

    @property
    def complete(self) -> bool:
        """Whether all images were attacked, or as many as it takes to decide, and no score is void."""
        attacked = len(self.selected) >= self.planned or self.decided_early
        return attacked and not any(score.void for score in self.scores)

    def records(self) -> list[dict[str, Any]]:
        """Return all scores as flat records, ready for a data frame.

        Those of tables that count some images only come last. They have the field `subset`.
        """
        return [score.record() for score in (*self.scores, *self._restricted_scores())]

    def _restricted_scores(self) -> Iterator[LabelledScore]:
        """Yield the scores that tables with `only` show."""
        for only, scores in self.restricted.items():
            shown = [table.value for table in self.suite.tables if tuple(table.only) == only]
            yield from (score for score in scores if any(covers(score.metric, value) for value in shown))

    def frame(self, library: str | None = None) -> Any:
        """Return all scores as a data frame: a row for each score, with its labels, `value`, `low`, `high` and `n`.

        Args:
            library: "pandas", "polars" or "pyarrow"; by default the first of them that is installed.

        Raises:
            UsageError: The library, or every one of them, is not installed.
        """
        from .scores.frame import frame_of

        return frame_of(self.records(), library)

    def show(self, table: str | None = None) -> ShownTable:
        """Return a table that a notebook shows as HTML, and a terminal as text.

        Args:
            table: The table's name in the suite; by default the first.

        Raises:
            UsageError: The suite has no such table.
        """
        from .tables.shown import shown

        return shown(self.tables, table, str(self.folder))

    def plot(self, name: str | None = None) -> Picture:
        """Draw a plot of the suite, which a notebook shows. Its attribute `figure` is matplotlib's.

        Args:
            name: The plot's name in the suite; by default the first.

        Raises:
            UsageError: The suite has no such plot, it cannot be drawn, or matplotlib is not installed.
        """
        from .plots import picture_of

        return picture_of(self, name)

    def _repr_html_(self) -> str:
        """Return the first table, which a notebook shows for the result itself."""
        return self.show()._repr_html_() if self.tables else f"<p>{len(self.scores)} scores, no table</p>"

    def arrays(self, metric: str, **labels: str) -> dict[str, NDArray[Any]]:
        """Return the per-image arrays of one metric under some labels.

        Args:
            metric: The metric's label in the suite.
            **labels: Labels and their values, enough to identify one set of rows.

        Returns:
            Arrays [n, ...] by name, in the order of the images.

        Raises:
            UsageError: No set of rows, or more than one, has the labels.
        """
        from .scores.choose import choose_rows

        return dict(choose_rows(self.rows, metric, labels).arrays)
