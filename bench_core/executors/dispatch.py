"""Sends the jobs whose cells are missing from the store to an executor, and stores every result as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain

from ..errors import Fault, Incomplete, Interrupted, UsageError, stop_at_faults
from ..planning.jobs import AttackJob, PlannedJob, SourceCheck
from ..planning.plan import CellRows
from ..progress import Progress
from ..registry import Registry
from ..reserved import RECORD
from ..store import Store
from . import NO_LIMITS, Executor, Limits, Outcome, Task
from .claims import Claims
from .groups import Group, Part, grouped
from .pending import Pending, RoundCounter
from .shares import StageShares
from .tasks import TaskQueue

Reasons = dict[tuple[str, str], str]  # address and cell -> why the cell is void
Asked = tuple[str, str, str]  # source, attack, budget
OnRound = Callable[[int, CellRows, Reasons], bool]  # gets the number of complete rounds, and what is known of them


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
        memory: The bytes that a worker may take, for which batches are made small enough; None for no limit.
        asked: The labels of the attacks that were asked about their sources, so that none is asked twice.
    """

    store: Store
    executor: Executor
    progress: Progress
    registry: Registry
    limits: Limits = NO_LIMITS
    strict: bool = False
    memory: int | None = None
    asked: set[Asked] = field(default_factory=set, compare=False)

    def compute(
        self, stage: str, jobs: Sequence[PlannedJob], on_round: OnRound | None = None
    ) -> tuple[CellRows, Reasons]:
        """Return the rows of all jobs, and for void cells the reasons.

        Jobs are computed round by round, without a barrier between rounds. When all jobs of the first rounds have
        finished or failed, `on_round` is called with the number of these rounds, and the rows and reasons so far. If it
        returns true, no further round is computed. Failed jobs are retried after all rounds.

        A failed metric or target voids its own cells only, although all cells of a job are computed in one pass: a
        failed job is retried without its metrics and, if that succeeds, in parts (see `Pending.parts`).

        Raises:
            Interrupted: On Ctrl-C.
            Incomplete: If a result cannot be stored, or at the first void cell with `strict`.
            UsageError: If a worker found a mistake of the user's.
        """
        pending = Pending(jobs, self.store)
        self.check_sources([pending.jobs[address][0] for address in pending.missing])
        failed = self._attempt(stage, pending.missing, pending, on_round)
        reasons = reasons_of(failed, pending.missing)
        record_only = {
            address: (RECORD,)
            for address in failed
            if set(pending.missing[address]) > {RECORD} and isinstance(pending.jobs[address][0].job, AttackJob)
        }
        failed_without_metrics = self._attempt(f"{stage}, retry without metrics", record_only, pending)
        parts = {
            address: pending.parts(address, pending.missing[address], outcome)
            for address, outcome in failed.items()
            if address not in failed_without_metrics
        }
        reasons |= reasons_of(failed_without_metrics, pending.missing)
        while any(parts.values()):
            wanted = {address: waiting.pop(0) for address, waiting in parts.items() if waiting}
            failed = self._attempt(f"{stage}, retry of a part", wanted, pending)
            reasons |= reasons_of(failed, wanted)
            for address, outcome in failed.items():
                parts[address] += pending.parts(address, wanted[address], outcome)
        reasons = {key: reason for key, reason in reasons.items() if key[1] not in pending.rows[key[0]]}
        for address in dict.fromkeys(address for address, _ in reasons):
            distinct = dict.fromkeys(reason for (failed_at, _), reason in reasons.items() if failed_at == address)
            self._notify(pending, address, "; ".join(distinct))
        return pending.rows, reasons

    def check_sources(self, jobs: Sequence[PlannedJob]) -> None:
        """Check the source of every attack that accepts only some, unless this was done before.

        No image is attacked for it, so a run does so before it classifies clean images; see `SourceCheck`.

        Raises:
            UsageError: with every source that an attack rejects.
        """
        first: dict[Asked, PlannedJob] = {}
        for planned in jobs:
            if planned.checks_source:
                labels = planned.labels
                first.setdefault((labels["source"], labels["attack"], labels["budget"]), planned)
        first = {labels: planned for labels, planned in first.items() if labels not in self.asked}
        tasks = [
            Task(planned.address, SourceCheck.of(planned.job).to_json(), (), self.limits, memory=self.memory)
            for planned in first.values()
            if isinstance(planned.job, AttackJob)
        ]
        if tasks:
            with self._running(tasks) as outcomes:
                stop_at_faults([Fault("", "", one.reason or "unknown") for one in outcomes if one.usage])
        self.asked.update(first)

    def _attempt(
        self,
        stage: str,
        wanted: Mapping[str, Collection[str]],
        pending: Pending,
        on_round: OnRound | None = None,
    ) -> dict[str, Outcome]:
        """Compute the wanted cells of each address; return the outcomes of those that failed.

        If `on_round` stops the stage, these are the failed jobs of the complete rounds.
        """
        failed: dict[str, Outcome] = {}
        rounds = RoundCounter({address: jobs[0].round for address, jobs in pending.jobs.items()}, wanted)

        def stopped() -> bool:
            """Report rounds that are newly complete. Return whether to stop."""
            if not rounds.newly_complete() or on_round is None:
                return False
            return on_round(rounds.complete, pending.rows, reasons_of(failed, wanted))

        if stopped() or not wanted:
            return failed
        groups = grouped(pending, wanted)
        passes = {
            address: sum(pending.passes(member.address) for member in group.members)
            for address, group in groups.items()
        }
        # the most expensive of a round first, so that no worker starts an ensemble when nothing else is left
        first = {key: min(rounds.number[each.address] for each in group.members) for key, group in groups.items()}
        tasks = [
            self._task(groups[address]) for address in sorted(groups, key=lambda each: (first[each], -passes[each]))
        ]
        claims = Claims(self.store)
        with closing(claims), self.progress.stage(stage, sum(passes.values())) as advance, ExitStack() as running:
            shares = StageShares(passes, advance)
            queue = TaskQueue(tasks, claims, lambda task: self._is_stored(groups[task.address]), shares.report)
            outcomes = running.enter_context(self._running(queue))
            for outcome in chain(outcomes, [None]):  # None: once more at the end
                while queue.stored:
                    address = queue.stored.popleft()
                    for member in groups[address].members:
                        pending.read(member.address)
                        rounds.finish(member.address)
                    shares.finish(address)
                if outcome is None:
                    break
                self.store.forget_state(outcome.address)
                parts = groups[outcome.address].parts(outcome)
                self._keep(parts, pending)
                for each in (part.outcome for part in parts):
                    if each.bundle is not None:
                        self._notify(pending, each.address)
                    else:
                        failed[each.address] = each
                    rounds.finish(each.address)
                queue.finish(outcome.address)
                if self.strict and failed:
                    raise Incomplete(self._first_void(failed, pending))
                shares.finish(outcome.address)
                if stopped():
                    return {address: outcome for address, outcome in failed.items() if rounds.has_completed(address)}
        return failed

    def _task(self, group: Group) -> Task:
        near = getattr(self.executor, "on_this_machine", False)
        state_file = str(self.store.state_file(group.address).absolute()) if near else None
        limits = group.limits(self.limits)
        return Task(group.address, group.job.to_json(), group.wanted, limits, state_file, self.memory)

    def _is_stored(self, group: Group) -> bool:
        return all(self.store.cells(member.address).issuperset(member.wanted) for member in group.members)

    def _first_void(self, failed: Mapping[str, Outcome], pending: Pending) -> str:
        address, outcome = next(iter(failed.items()))
        labels = ", ".join(f"{name} {label}" for name, label in pending.jobs[address][0].labels.items())
        return f"void: {labels}: {reason_of(outcome)} (--strict stops at the first)"

    def _keep(self, parts: Sequence[Part], pending: Pending) -> None:
        """Store the results of a task. Raises Incomplete if they cannot be stored, UsageError for a user's mistake."""
        outcomes = [part.outcome for part in parts]
        for outcome in outcomes:
            if outcome.usage:
                raise UsageError(Fault("", "", outcome.reason or "unknown"))
        bundles = {outcome.address: outcome.bundle for outcome in outcomes if outcome.bundle is not None}
        try:
            self.store.put_all(bundles)
        except OSError as error:
            raise Incomplete(f"cannot keep results in {self.store.root}: {error.strerror or error}") from None
        for part in parts:
            if part.rows is not None:
                pending.add(part.outcome.address, part.rows)
            elif part.outcome.bundle is not None:
                pending.read(part.outcome.address)

    def _notify(self, pending: Pending, address: str, reason: str | None = None) -> None:
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


def reason_of(outcome: Outcome) -> str:
    return outcome.reason or "no reason given"


def reasons_of(failed: Mapping[str, Outcome], wanted: Mapping[str, Collection[str]]) -> Reasons:
    """Return the reason of every cell that was wanted of a failed job."""
    return {(address, cell): reason_of(outcome) for address, outcome in failed.items() for cell in wanted[address]}
