"""Classifies the clean images: before the attacks only as many as the selection needs, the others after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import Incomplete, stop_at_faults
from ..executors.dispatch import Dispatcher, Reasons
from ..planning.accuracy import accuracy_faults, suspicious
from ..planning.jobs import PlannedJob
from ..planning.plan import CellRows, blocks_of, predictions_of
from ..planning.planner import clean_jobs
from ..planning.resolve import ResolvedSuite
from ..planning.selection import Selection, admitted, count_classified, select, suffices
from ..reserved import PREDICTED
from .preprocessing import likely_mistakes

STAGE = "clean images"
FIRST_BLOCKS = 4  # classified in any case, so that several workers start and load the networks at once


@dataclass
class CleanImages:
    """The jobs over the whole dataset. What the selection does not need is left until after the attacks.

    The selection is a prefix of the admitted images, so the rest of the dataset cannot change it.

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
        self.all_jobs = clean_jobs(self.resolved)
        self.blocks = blocks_of(self.all_jobs)

    def select(self) -> Selection:
        """Classify images until there are enough, and select those to attack.

        All images are classified if a model has an expected accuracy, which is checked before any attack.

        Raises:
            Incomplete: The predictions of a model failed.
            UsageError: No image is admitted, the suite pins another selection, a model has another accuracy, or its
                preprocessing is mistaken.
        """
        if any(model.expected_accuracy is not None for model in self.resolved.suite.models.values()):
            self.finish()
        while not suffices(self.resolved, self.predictions):
            self._classify(self._blocks_needed(), STAGE)
        self._check_accuracy()
        return select(self.resolved, self.predictions)

    def finish(self) -> None:
        """Classify the images that are left. Raises Incomplete if the predictions of a model fail."""
        if self.blocks:
            self._classify(len(self.blocks), f"{STAGE}, the rest" if self.jobs else STAGE)
            self.jobs = self.all_jobs

    @property
    def predictions(self) -> dict[str, list[int]]:
        """The class that each model predicts for the images that are classified, by the model's label."""
        return predictions_of(self.jobs, self.rows)

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

    def _check_accuracy(self) -> None:
        images = self.resolved.images
        assert images is not None
        labels = images.labels[: count_classified(self.predictions)]
        classes = getattr(images, "class_count", None)
        known = (self.resolved.suite, self.predictions, labels, classes)
        suspects = suspicious(*known)  # rare, so that a right network costs no further pass
        mistakes = likely_mistakes(self.resolved, self.dispatcher, suspects) if suspects else {}
        stop_at_faults(accuracy_faults(*known, mistakes))


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
