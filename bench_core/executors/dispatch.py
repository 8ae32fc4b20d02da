"""Sends the jobs whose cells are missing from the store to an executor, and stores every result as it arrives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import Fault, Incomplete, Interrupted, UsageError, stop_at_faults
from ..planning.jobs import AttackJob, CleanJob, PlannedJob, SourceCheck, merge
from ..planning.plan import CellRows
from ..progress import Progress
from ..registry import Registry
from ..reserved import RECORD
from ..store import Store
from . import NO_LIMITS, Executor, Limits, Outcome, Task

Reasons = dict[tuple[str, str], str]  # address and cell -> why the cell is void


@dataclass(frozen=True)
class Dispatcher:
    """Computes what is missing from the store.

    Attributes:
        store: Where results are kept.
        executor: What computes them.
        progress: Where progress is shown.
        registry: Whose plugins are notified of finished jobs.
        limits: The time and memory that one task may use.
        strict: Whether to stop at the first void cell.
    """

    store: Store
    executor: Executor
    progress: Progress
    registry: Registry
    limits: Limits = NO_LIMITS
    strict: bool = False

    def compute(self, stage: str, jobs: Sequence[PlannedJob]) -> tuple[CellRows, Reasons]:
        """Return the rows of all jobs, and for void cells the reasons.

        A failed metric voids its own cells only, although all metrics of a job are computed in one pass: a failed job
        is retried without its metrics and, if that succeeds, once for each metric.

        Raises:
            Interrupted: On Ctrl-C.
            Incomplete: If a result cannot be stored, or at the first void cell with `strict`.
            UsageError: If a worker found a mistake of the user's.
        """
        pending = _Pending(jobs, self.store)
        self.check_sources([pending.jobs[address][0] for address in pending.missing])
        failed = self._attempt(stage, pending.missing, pending)
        reasons: Reasons = {
            (address, cell): reason for address, reason in failed.items() for cell in pending.missing[address]
        }
        by_metric = {address: pending.missing_by_metric(address) for address in failed}
        record_only = {
            address: (RECORD,)
            for address in failed
            if by_metric[address] and isinstance(pending.jobs[address][0].job, AttackJob)
        }
        failed_without_metrics = self._attempt(f"{stage}, retry without metrics", record_only, pending)
        retry = {
            address: cells
            for address, cells in by_metric.items()
            if len(cells) > 1 and address not in failed_without_metrics
        }
        for index in range(max(map(len, retry.values()), default=0)):
            wanted = {address: cells[index] for address, cells in retry.items() if index < len(cells)}
            failed = self._attempt(f"{stage}, retry of metric {index + 1} alone", wanted, pending)
            reasons |= {(address, cell): reason for address, reason in failed.items() for cell in wanted[address]}
        reasons = {key: reason for key, reason in reasons.items() if key[1] not in pending.rows[key[0]]}
        for address in dict.fromkeys(address for address, _ in reasons):
            distinct = dict.fromkeys(reason for (failed_at, _), reason in reasons.items() if failed_at == address)
            self._notify(pending, address, "; ".join(distinct))
        return pending.rows, reasons

    def check_sources(self, jobs: Sequence[PlannedJob]) -> None:
        """Check the source of every attack that accepts only some, before any image is attacked.

        Raises:
            UsageError: with every source that an attack rejects.
        """
        first: dict[tuple[str, ...], PlannedJob] = {}
        for planned in jobs:
            if planned.checks_source:
                labels = planned.labels
                first.setdefault((labels["source"], labels["attack"], labels["budget"]), planned)
        tasks = [
            Task(planned.address, SourceCheck.of(planned.job).to_json(), (), self.limits)
            for planned in first.values()
            if isinstance(planned.job, AttackJob)
        ]
        if tasks:
            with self._running(tasks) as outcomes:
                stop_at_faults([Fault("", "", one.reason or "unknown") for one in outcomes if one.usage])

    def _attempt(self, stage: str, wanted: Mapping[str, Collection[str]], pending: _Pending) -> dict[str, str]:
        """Compute the wanted cells of each address; return the reasons of those that failed."""
        reasons: dict[str, str] = {}
        if not wanted:
            return reasons
        passes = {address: max(job.passes for job in pending.jobs[address]) for address in wanted}
        # most expensive first, so that no worker starts an ensemble when the others have nothing left to do
        tasks = [
            Task(address, pending.merged(address).to_json(), tuple(wanted[address]), self.limits)
            for address in sorted(wanted, key=passes.__getitem__, reverse=True)
        ]
        with self.progress.stage(stage, sum(passes.values())) as advance, self._running(tasks) as outcomes:
            for outcome in outcomes:
                address = outcome.address
                if self._keep(outcome, pending):
                    self._notify(pending, address)
                else:
                    reasons[address] = outcome.reason or "no reason given"
                if self.strict and address in reasons:
                    labels = ", ".join(f"{name} {label}" for name, label in pending.jobs[address][0].labels.items())
                    raise Incomplete(f"void: {labels}: {reasons[address]} (--strict stops at the first)")
                advance(passes[address])
        return reasons

    def _keep(self, outcome: Outcome, pending: _Pending) -> bool:
        """Store a result; return False if there is none. Raises Incomplete if it cannot be stored."""
        if outcome.usage:
            raise UsageError(Fault("", "", outcome.reason or "unknown"))
        if outcome.bundle is None:
            return False
        try:
            self.store.put(outcome.address, outcome.bundle)
        except OSError as error:
            raise Incomplete(f"cannot keep results in {self.store.root}: {error.strerror or error}") from None
        pending.rows[outcome.address] = self.store.get(outcome.address)
        return True

    def _notify(self, pending: _Pending, address: str, reason: str | None = None) -> None:
        for job in pending.jobs[address]:
            self.registry.manager.hook.bench_cell_done(job=job, rows=pending.rows[address], reason=reason)

    @contextmanager
    def _running(self, tasks: Sequence[Task]) -> Iterator[Iterator[Outcome]]:
        """Run tasks. Stop the executor at the end, also after an exception."""
        outcomes = self.executor.run(tasks)
        try:
            yield outcomes
        except KeyboardInterrupt:
            raise Interrupted from None
        finally:
            close = getattr(outcomes, "close", None)
            if close:
                close()


class _Pending:
    """The jobs of a stage by address, their rows so far, and their cells that were missing at the start."""

    def __init__(self, jobs: Sequence[PlannedJob], store: Store) -> None:
        self.jobs: dict[str, list[PlannedJob]] = defaultdict(list)
        for job in jobs:
            self.jobs[job.address].append(job)
        self.rows: CellRows = {address: store.get(address) for address in self.jobs}
        missing = {
            address: tuple(sorted({cell.key for job in planned for cell in job.cells} - set(self.rows[address])))
            for address, planned in self.jobs.items()
        }
        self.missing = {address: cells for address, cells in missing.items() if cells}

    def merged(self, address: str) -> CleanJob | AttackJob:
        return merge([planned.job for planned in self.jobs[address]])

    def missing_by_metric(self, address: str) -> list[tuple[str, ...]]:
        """Return the missing cells of a job, one tuple for each metric with all of its targets."""
        cells: dict[str, dict[str, None]] = defaultdict(dict)
        for cell in (cell for job in self.jobs[address] for cell in job.cells):
            if cell.key in self.missing[address] and cell.metric != RECORD:
                cells[cell.metric][cell.key] = None
        return [tuple(keys) for keys in cells.values()]
