"""Recomputes a random sample of a run, and says whether it is what the run claims."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import Fault, Incomplete
from ..executors import Executor, Outcome, Task
from ..executors.dispatch import Dispatcher
from ..progress import Progress
from ..registry import Registry
from ..store import Store
from .agreement import ChangedCell, PairedRow, changed_cells, paired_rows
from .claims import ClaimedJob
from .contents import Contents
from .differences import Differences
from .prepare import Request, prepare
from .sampling import found_with, most_missed
from .unpack import Unpacked

Verdict = Literal["identical", "statistically equal", "not equal"]


@dataclass(frozen=True)
class Verification:
    """The outcome of a verification.

    Attributes:
        name: The run.
        digest: Its digest.
        verdict: "identical" if all recomputed values are the claimed ones to the bit; "statistically equal" if they
            differ as other machines do, without preferring a direction; otherwise "not equal".
        reasons: Why it is not equal.
        differs: What differs between the run's code and setup and those here.
        notes: What is not checked.
        seed: The seed of the sample.
        jobs: The number of jobs of the run that have values.
        drawn: The number of those that were computed again.
        cells: The number of cells of the run that have values.
        drawn_cells: The number of those that were computed again.
        changed: The cells that differ.
        rows: The paired tests; empty if nothing differs.
        changed_jobs: How many of the drawn jobs have a changed outcome.
    """

    name: str
    digest: str
    verdict: Verdict
    reasons: tuple[str, ...]
    differs: Differences
    notes: tuple[str, ...]
    seed: int
    jobs: int
    drawn: int
    cells: int
    drawn_cells: int
    changed: tuple[ChangedCell, ...]
    rows: tuple[PairedRow, ...]
    changed_jobs: int

    @property
    def found_with(self) -> float:
        """The probability with which a single changed outcome, wherever it is, would have been found."""
        return float(found_with(1, self.drawn, self.jobs))

    @property
    def most_missed(self) -> int:
        """The largest number of jobs with a changed outcome in the run that this sample could miss, with 95%."""
        return most_missed(self.changed_jobs, self.drawn, self.jobs)


def verify(
    unpacked: Unpacked, contents: Contents, request: Request, registry: Registry, executor: Executor, progress: Progress
) -> Verification:
    """Recompute a random sample of a run's jobs and compare every value. Nothing of the run's store is used.

    Args:
        unpacked: The run.
        contents: What its files say.
        request: What to verify.
        registry: The installed plugins.
        executor: What computes the sample.
        progress: Where progress is shown.

    Raises:
        UsageError: The two cannot be compared: other images, weights or code, each by its name. Or the sample takes
            more passes than it may.
        Incomplete: A job takes more memory than it may, or the time is over.
    """
    task = prepare(unpacked, contents, request, registry)
    jobs, known, sample, differs = task.jobs, task.known, task.sample, task.differs
    with tempfile.TemporaryDirectory(prefix="bench-verification-") as temporary:
        stopping = StopsOverLimit(executor)
        dispatcher = Dispatcher(Store(Path(temporary)), stopping, progress, registry, request.limits)
        computed, reasons = dispatcher.compute("verification", [job.planned for job in sample])
    changed = changed_cells(sample, computed, reasons)
    tests = paired_rows(sample, computed, request.alpha) if changed else []
    failed = [str(task.chosen)] if isinstance(task.chosen, Fault) else []
    extra = task.unplanned
    failed += (
        [f"{len(extra)} sets of rows that no job of the suite gives, such as {extra[0].key[:120]}"] if extra else []
    )
    missing = {cell.name for job in jobs for cell in job.cells if cell.arrays is None and not cell.void}
    if missing:  # leaving out what does not suit is no less wrong than changing it
        failed.append(f"the run lacks values of {len(missing)} sets of rows: {', '.join(sorted(missing)[:3])}")
    failed += _failures(changed, tests, differs, request.alpha)
    verdict: Verdict = "not equal" if failed else "statistically equal" if changed else "identical"
    unchecked = task.chosen if isinstance(task.chosen, str) else None
    return Verification(
        unpacked.name, unpacked.digest, verdict, tuple(failed), differs,
        tuple(_notes(jobs, known, unchecked)), request.seed, len(known), len(sample),
        sum(len(job.claimed) for job in known), sum(len(job.claimed) for job in sample), tuple(changed), tuple(tests),
        _jobs_with_changes(sample, changed),
    )  # fmt: skip


@dataclass(frozen=True)
class StopsOverLimit:
    """An executor that stops at a job over its limits, which says nothing about the run and is not a void cell."""

    executor: Executor

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcomes of tasks. Raises Incomplete at one over its limits."""
        outcomes = self.executor.run(tasks)
        try:
            for outcome in outcomes:
                if outcome.over_limit:
                    raise Incomplete(f"not verified: a micro-batch {outcome.reason}")
                yield outcome
        finally:
            getattr(outcomes, "close", lambda: None)()


def _failures(
    changed: Sequence[ChangedCell], tests: Sequence[PairedRow], differs: Differences, alpha: float
) -> list[str]:
    """Return why the changes are more than those of another machine."""
    if changed and not (differs.setup or differs.code):
        return ["code, networks, images and setup are the same, so that all values must be"]
    failed = ["some cells have no result here, or rows of another form"] if any(cell.form for cell in changed) else []
    return failed + [
        f"{test.name}: claimed values are higher on {test.higher} images and lower on {test.lower} (p {test.p:.2g})"
        for test in tests
        if test.p < alpha
    ]


def _notes(jobs: Sequence[ClaimedJob], known: Sequence[ClaimedJob], unchecked: str | None) -> list[str]:
    notes = [unchecked] if unchecked else []
    void = {cell.name for job in jobs for cell in job.cells if cell.void}
    if void:
        notes.append(f"{len(void)} sets of rows are void in the run, and not verified: {', '.join(sorted(void)[:3])}")
    if len(known) < len(jobs):
        notes.append(f"{len(jobs) - len(known)} of {len(jobs)} micro-batches have no values in the run")
    return notes


def _jobs_with_changes(sample: Sequence[ClaimedJob], changed: Sequence[ChangedCell]) -> int:
    """Return how many jobs have a changed outcome; an array that differs in its last digits only is none."""
    outcomes = {(cell.name, cell.batch) for cell in changed if cell.outcomes}
    return sum(any((cell.name, job.planned.round) in outcomes for cell in job.claimed) for job in sample)
