"""Classifies the clean images: before the attacks only as many as the selection needs, the others after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..errors import Incomplete, stop_at_faults
from ..executors.dispatch import Dispatcher, Reasons
from ..planning.accuracy import accuracy_faults, stand_for, suspicious
from ..planning.dataset_share import classifies_all
from ..planning.jobs import PlannedJob
from ..planning.plan import CellRows, blocks_of, predicted_classes, predictions_of
from ..planning.planner import CLEAN_BATCH, FIRST_IMAGES, clean_jobs, look_jobs
from ..planning.resolve import ResolvedSuite
from ..planning.selection import (
    Selection,
    admitted,
    count_classified,
    look,
    needs_no_predictions,
    select,
    selection_of,
    suffices,
)
from ..progress import Silent
from ..reserved import PREDICTED
from ..suite.model import Suite
from .preprocessing import likely_mistakes

STAGE = "clean images"
FIRST_BLOCKS = FIRST_IMAGES // CLEAN_BATCH
FEW = 32  # images that are looked at without a line of progress


@dataclass
class CleanImages:
    """The jobs that need no attack. What the selection does not need is left until after the attacks.

    The selection is a prefix of the admitted images, so the rest of the dataset cannot change it. If the run does not
    classify the whole dataset, the selected images stand for it.

    Attributes:
        jobs: The jobs that are computed.
        rows: Their rows.
        reasons: The reasons of their void cells.
    """

    resolved: ResolvedSuite
    dispatcher: Dispatcher
    jobs: list[PlannedJob] = field(default_factory=list)
    rows: CellRows = field(default_factory=dict)
    reasons: Reasons = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.resolved.images is not None
        self.labels = self.resolved.images.labels
        self.all_jobs = clean_jobs(self.resolved)
        self.blocks = blocks_of(self.all_jobs)

    def select(self) -> Selection:
        """Classify images until there are enough, and select those to attack.

        If a model has an expected accuracy, it is first compared on images that stand for the dataset. If the run does
        not classify the whole dataset, a network is otherwise shown only images that the selection needs.

        Raises:
            Incomplete: The predictions of a model failed.
            UsageError: No image is admitted, the suite pins another selection, a model has another accuracy, or its
                preprocessing is mistaken.
        """
        self._check_accuracies()
        if not classifies_all(self.resolved):
            return self._look()
        while not suffices(self.resolved, self.predictions):
            self._classify(self._blocks_needed(), STAGE)
        self._stop_at_accuracies(self.jobs, self.rows)
        return select(self.resolved, self.predictions)

    def finish(self) -> None:
        """Classify the images that are left. Raises Incomplete if the predictions of a model fail."""
        if self.blocks:
            self._classify(len(self.blocks), f"{STAGE}, the rest" if self.jobs else STAGE)
            self.jobs = self.all_jobs

    def accuracy_notes(self) -> list[str]:
        """Return a note for each model whose accuracy over all images is not the expected one."""
        if not classifies_all(self.resolved):
            return []
        faults = accuracy_faults(*self._classified(self.jobs, self.rows))
        return [f"{fault.key}: {fault.message}" for fault in faults]

    @property
    def predictions(self) -> dict[str, list[int]]:
        """The class that each model predicts for the images that are classified, by the model's label."""
        return predictions_of(self.jobs, self.rows)

    def _look(self) -> Selection:
        """Select the images to attack with as few predictions as possible."""
        shown: dict[str, dict[int, int]] = {}

        def classify(model: str, indices: Sequence[int]) -> dict[int, int]:
            jobs = look_jobs(self.resolved, model, indices)
            dispatcher = replace(self.dispatcher, progress=Silent()) if len(indices) <= FEW else self.dispatcher
            rows, reasons = dispatcher.compute(f"{STAGE}, {model}", jobs)
            stop_without_predictions(jobs, reasons)
            predicted = predicted_classes(jobs, rows)
            shown.setdefault(model, {}).update(predicted)
            return predicted

        found = look(self.resolved, classify)
        assert found is not None
        classes = {
            model: ([*predicted.values()], [self.labels[i] for i in predicted]) for model, predicted in shown.items()
        }
        selection = selection_of(self.resolved, found, classes)
        self.all_jobs = clean_jobs(self.resolved, selection)
        self.blocks = blocks_of(self.all_jobs)
        if not needs_no_predictions(self.resolved):
            self.finish()
        return selection

    def _blocks_needed(self) -> int:
        """Estimate how many further blocks have enough images, at the rate at which images were admitted so far."""
        known, fewest = count_classified(self.predictions), 1 if self.jobs else FIRST_BLOCKS
        rate = len(admitted(self.resolved, self.predictions)) / known if known else 1.0
        missing = self.resolved.count - rate * known
        in_block = self.blocks[0][0].images
        return max(fewest, -(-int(missing) // max(1, int(rate * in_block))))

    def _classify(self, count: int, stage: str) -> None:
        """Compute the next blocks."""
        jobs = [job for block in self.blocks[:count] for job in block]
        rows, reasons = self.dispatcher.compute(stage, jobs)
        stop_without_predictions(jobs, reasons)
        del self.blocks[:count]
        self.jobs, self.rows, self.reasons = [*self.jobs, *jobs], {**self.rows, **rows}, {**self.reasons, **reasons}

    def _check_accuracies(self) -> None:
        """Compare the accuracies of the models that have an expected one, before any attack.

        A trial with a limit shows no image to a network for this, unless it classifies the whole dataset anyway.
        """
        models, whole = self.resolved.suite.models, classifies_all(self.resolved)
        expected = {label for label, model in models.items() if model.expected_accuracy is not None}
        if not expected & {*self.resolved.suite.all_models} or not (whole or self.resolved.limit is None):
            return
        count = next(n for n in range(len(self.blocks) + 1) if stand_for(self.labels, _images(self.blocks[:n])))
        if whole:
            self._classify(count, STAGE)
            jobs, rows = self.jobs, self.rows
        else:
            jobs = [job for block in self.blocks[:count] for job in block if job.labels["target"] in expected]
            rows, reasons = self.dispatcher.compute(f"{STAGE}, expected accuracies", jobs)
            stop_without_predictions(jobs, reasons)
        self._stop_at_accuracies(jobs, rows)

    def _stop_at_accuracies(self, jobs: Sequence[PlannedJob], rows: CellRows) -> None:
        """Raise UsageError if a model has another accuracy than expected, or a mistake in its preprocessing."""
        known = self._classified(jobs, rows)
        if not known[2]:
            return
        suspects = suspicious(*known)  # rare, so that a right network costs no further pass
        mistakes = likely_mistakes(self.resolved, self.dispatcher, suspects) if suspects else {}
        stop_at_faults(accuracy_faults(*known, mistakes))

    def _classified(
        self, jobs: Sequence[PlannedJob], rows: CellRows
    ) -> tuple[Suite, dict[str, list[int]], Sequence[int], int | None]:
        """Return the suite, the predictions of jobs over the first images, their labels, and the number of classes."""
        labels = self.labels[: _images(blocks_of(jobs))]
        return (
            self.resolved.suite,
            predictions_of(jobs, rows),
            labels,
            getattr(self.resolved.images, "class_count", None),
        )


def _images(blocks: Sequence[Sequence[PlannedJob]]) -> int:
    """Return the number of images of some blocks."""
    return sum(block[0].images for block in blocks)


def stop_without_predictions(jobs: Sequence[PlannedJob], reasons: Reasons) -> None:
    """Raise Incomplete if a model has no predictions, because the images to attack are selected by them."""
    failed = {
        cell.target: reason
        for job in jobs
        for cell in job.cells
        if cell.metric == PREDICTED and (reason := reasons.get((job.address, cell.key)))
    }
    if failed:
        listed = "; ".join(f"{target}: {reason}" for target, reason in failed.items())
        raise Incomplete(f"the models' predictions failed: {listed}")
