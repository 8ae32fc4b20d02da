"""Scores a run from the images that are complete: after each round, when it is interrupted, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from ..planning.jobs import PlannedJob
from ..planning.plan import CellRows
from ..planning.planner import is_white_box
from ..planning.resolve import ResolvedSuite
from ..planning.selection import Selection
from ..result import Result
from ..scores.rows import Complete, RowSet, Voids, complete_labels, gather
from .judged import is_judged
from .other_runs import ONLY_THIS_RUN, Attacked, OtherRuns, read_other_runs
from .record import RunRecord
from .scoring import score_run
from .write import make_record, selected_truth


@dataclass(frozen=True)
class Scorer:
    """Computes the result of a run from the rows of its jobs.

    Attributes:
        resolved: The suite.
        folder: The run's folder.
        selection: The images that are attacked.
        published: The text of the CSV file of published values, for each table that has one.
        clean: The jobs over the whole dataset, or over those of its images that are classified so far.
        clean_rows: Their rows.
        clean_reasons: The reasons of their void cells.
        attacks: The jobs over the selected images.
        warn: Whether to look for warnings.
        until_decided: Whether the run stops when no comparison is undecided.
        notes: What a reader must know of the run, besides the notes of the suite.
        other_runs: What other runs reached, if the suite's optimality counts them.
    """

    resolved: ResolvedSuite
    folder: Path
    selection: Selection
    published: Mapping[str, str]
    clean: Sequence[PlannedJob]
    clean_rows: CellRows
    clean_reasons: Voids
    attacks: Sequence[PlannedJob]
    warn: bool
    until_decided: bool = False
    notes: Sequence[str] = ()
    other_runs: OtherRuns = ONLY_THIS_RUN

    @cached_property
    def clean_sets(self) -> list[RowSet]:
        assert self.resolved.images is not None
        listed = range(len(self.resolved.images.ids))
        return gather(self.clean, self.clean_rows, self.clean_reasons, self._labels, "all", listed)

    @cached_property
    def _labels(self) -> Complete:
        return complete_labels(self.resolved.suite, partial(is_white_box, self.resolved))

    @property
    def images(self) -> int:
        return len(self.selection.indices)

    def read_other_runs(self, out: Path) -> OtherRuns:
        """Read what the other runs of a results folder reached on the run's images and networks."""
        models = {label: model.description for label, model in self.resolved.models.items()}
        attacked = Attacked(
            self.resolved.suite, models, self.selection.ids, selected_truth(self.resolved, self.selection)
        )
        return read_other_runs(out, self.folder, attacked, self.resolved.metrics_by_label)

    def images_of(self, rounds: int) -> int:
        """Return the number of images of the first rounds."""
        return min(rounds * self.resolved.suite.compute.micro_batch, self.images)

    def images_until(self, image: int) -> int:
        """Return the number of images of the rounds up to that of an image, counted from 1."""
        return self.images_of(-(-image // self.resolved.suite.compute.micro_batch))

    def score(self, rows: CellRows, reasons: Voids, images: int) -> Result:
        """Compute the result over the first images.

        Args:
            rows: The rows of the jobs over these images.
            reasons: The reasons of their void cells.
            images: The number of images, which is that of whole rounds.
        """
        suite, first = self.resolved.suite, self.selection.first(images)
        size = suite.compute.micro_batch
        jobs = [job for job in self.attacks if job.round * size < images]
        sets = [*self.clean_sets, *gather(jobs, rows, reasons, self._labels, "selected", first.indices)]
        result = score_run(
            suite, self.folder, sets, self.resolved.metrics_by_label, first.indices,
            selected_truth(self.resolved, first), self.published, {**self.clean_reasons, **reasons}, self.warn,
            self.images, self.until_decided, self.resolved.environment.dtype, self.other_runs.rows,
        )  # fmt: skip
        notes = (*self._too_few(), *self.resolved.notes, *self.notes, *self.other_runs.notes)
        return replace(result, notes=notes, exhausted=self.exhausted)

    @property
    def exhausted(self) -> bool:
        """Whether the dataset has fewer images that can be attacked than the suite asks for."""
        return self.images < self.resolved.count and not is_judged(self.resolved.suite)

    def _too_few(self) -> list[str]:
        assert self.resolved.images is not None
        if not self.exhausted:
            return []
        asked, known = self.resolved.count, len(self.resolved.images.ids)
        why = f'by the rule "{self.resolved.suite.images.rule}" no more of the dataset\'s {known} can be attacked'
        return [f"{self.images} images in place of {asked}: {why}"]

    def record(self, result: Result) -> RunRecord:
        """Return the record of a result."""
        return make_record(result, self.resolved, self.selection.first(len(result.selected)), self.other_runs)


@dataclass
class Rounds:
    """Keeps what the complete rounds of a run have given, and passes their result on.

    Attributes:
        scorer: Computes results.
        on_round: Called with the result of all complete rounds, but not after the last.
        images: The number of images of the complete rounds.
        rows: The rows so far.
        reasons: The reasons of their void cells.
        stopped: Whether the run stops, because its comparisons ended within these images.
    """

    scorer: Scorer
    on_round: Callable[[Result], None] | None = None
    images: int = 0
    rows: CellRows = field(default_factory=dict)
    reasons: Voids = field(default_factory=dict)
    stopped: bool = False

    def __call__(self, complete: int, rows: CellRows, reasons: Voids) -> bool:
        """Note that the first rounds are complete. Return whether the run stops.

        The store may have more rounds than the comparisons needed. The run's images are those that it would have
        attacked without them, so that its result does not depend on what was computed before.
        """
        self.images, self.rows, self.reasons = self.scorer.images_of(complete), rows, dict(reasons)
        last, until_decided = self.images >= self.scorer.images, self.scorer.until_decided
        if not until_decided and (last or self.on_round is None):
            return False
        result = self.result()
        ended_at = result.decisions.ended_at if until_decided and result.decisions else None
        if ended_at is not None:
            self.images, self.stopped = self.scorer.images_until(ended_at), True
        elif self.on_round is not None and not last:
            self.on_round(result)
        return self.stopped

    def result(self) -> Result:
        """Return the result of all complete rounds."""
        return self.scorer.score(self.rows, self.reasons, self.images)
