"""Has an executor compute what the store lacks, and keeps every result the moment it is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..errors import Fault, UsageError
from ..planning.planner import Job
from ..progress import Progress
from ..registry import Registry
from ..store import Store
from ..suite.model import RECORD
from . import NO_LIMITS, Executor, Limits, Outcome, Task

Found = dict[str, dict[str, dict[str, NDArray[Any]]]]  # address -> cell -> row -> array


class Interrupted(Exception):
    """Ctrl-C; what finished is stored."""


class Incomplete(Exception):
    """Results could not be kept, a full disk for one; what finished is stored."""


Voids = dict[tuple[str, str], str]  # address and cell -> reason


@dataclass(frozen=True)
class Computing:
    """Where results go, who computes, within which limits for each task; `strict` stops at the first void."""

    store: Store
    executor: Executor
    progress: Progress
    registry: Registry
    limits: Limits = NO_LIMITS
    strict: bool = False


def compute(name: str, jobs: Sequence[Job], by: Computing) -> tuple[Found, Voids]:
    """Give the rows of all jobs, computing those cells that the store has not whole, and the reasons of voids.

    A plugin costs its own cells, not those that share a pass with them: a job that failed is tried again without its
    metrics, and where that goes well, once for each of them. Raises Interrupted, Incomplete, or UsageError where a
    worker found a mistake of the user's.
    """
    by_address: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_address[job.address].append(job)
    found: Found = {address: by.store.get(address) for address in by_address}
    missing = {
        address: tuple(sorted({cell.key for job in same for cell in job.cells} - set(found[address])))
        for address, same in by_address.items()
    }
    wanted = {address: cells for address, cells in missing.items() if cells}
    check_sources([by_address[address][0] for address in wanted], by)
    whole = _attempt(name, wanted, by_address, found, by)
    voids: Voids = {(address, cell): reason for address, reason in whole.items() for cell in missing[address]}
    parts = {address: _metric_by_metric(by_address[address], missing[address]) for address in whole}
    attacked = {address: (RECORD,) for address in whole if parts[address] and by_address[address][0].spec["attack"]}
    sunk = _attempt(f"{name}, what failed: without metrics", attacked, by_address, found, by)
    apart = {address: each for address, each in parts.items() if len(each) > 1 and address not in sunk}
    for place in range(max(map(len, apart.values()), default=0)):
        part = {address: each[place] for address, each in apart.items() if place < len(each)}
        reasons = _attempt(f"{name}, what failed: metric {place + 1} alone", part, by_address, found, by)
        voids |= {(address, cell): reason for address, reason in reasons.items() for cell in part[address]}
    voids = {key: reason for key, reason in voids.items() if key[1] not in found[key[0]]}
    for address in dict.fromkeys(address for address, _ in voids):
        told = dict.fromkeys(reason for (of, _), reason in voids.items() if of == address)
        _tell(by, by_address[address], found, "; ".join(told))
    return found, voids


def check_sources(jobs: Sequence[Job], by: Computing) -> None:
    """Ask each attack that is particular about it whether its source will do, before any image is attacked.

    Raises UsageError where one will not: a worker would say so, but perhaps after hours.
    """
    first: dict[tuple[str, str], Job] = {}
    for job in jobs:
        if job.asks_source:
            first.setdefault((job.labels["source"], job.labels["attack"]), job)
    tasks = [Task("", source_alone(job.spec), (), by.limits) for job in first.values()]
    if tasks:
        with _stopping(by, tasks) as outcomes:
            for outcome in outcomes:
                if outcome.usage:
                    raise UsageError(Fault("", "", outcome.reason or "unknown"))


def source_alone(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Cut a job down to one image and its source, to be looked at and not attacked."""
    own = {name: spec["models"][name] for name in spec["source"]["members"]}
    one = {name: spec[name] and spec[name][:1] for name in ("indices", "ids", "labels", "targets")}
    return {**spec, **one, "models": own, "observe": [], "look": True}


def _tell(by: Computing, jobs: Sequence[Job], found: Found, reason: str | None = None) -> None:
    for job in jobs:
        by.registry.manager.hook.bench_cell_done(job=job, rows=found[job.address], reason=reason)


def _metric_by_metric(jobs: Sequence[Job], wanted: Collection[str]) -> list[tuple[str, ...]]:
    """Give the wanted cells of each metric of a job, all of its targets together."""
    cells: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in (cell for job in jobs for cell in job.cells):
        if cell.key in wanted and cell.metric != RECORD:
            cells[cell.metric][cell.key] = None
    return [tuple(each) for each in cells.values()]


def _attempt(
    stage: str,
    wanted: Mapping[str, tuple[str, ...]],
    by_address: Mapping[str, Sequence[Job]],
    found: Found,
    by: Computing,
) -> dict[str, str]:
    """Compute the wanted cells of each address; give the reasons of those that failed."""
    reasons: dict[str, str] = {}
    if not wanted:
        return reasons
    weights = {address: max(map(weight, by_address[address])) for address in wanted}
    # The dearest first, so that workers finish together: an ensemble begun last would be waited for by all others.
    tasks = [
        Task(address, whole_spec(by_address[address]), wanted[address], by.limits)
        for address in sorted(wanted, key=weights.__getitem__, reverse=True)
    ]
    with by.progress.stage(stage, sum(weights.values())) as advance, _stopping(by, tasks) as outcomes:
        for outcome in outcomes:
            address = outcome.address
            if _keep(outcome, by.store, found):
                _tell(by, by_address[address], found)
            else:
                reasons[address] = outcome.reason or "no reason given"
            if by.strict and address in reasons:
                what = ", ".join(f"{name} {label}" for name, label in by_address[address][0].labels.items())
                raise Incomplete(f"void: {what}: {reasons[address]} (--strict stops at the first)")
            advance(weights[address])
    return reasons


@contextmanager
def _stopping(by: Computing, tasks: Sequence[Task]) -> Iterator[Iterator[Outcome]]:
    """Stop the executor whatever happens, and say what happened in the run's own terms."""
    outcomes = by.executor.run(tasks)
    try:
        yield outcomes
    except KeyboardInterrupt:
        raise Interrupted from None
    finally:
        close = getattr(outcomes, "close", None)
        if close:
            close()


def _keep(outcome: Outcome, store: Store, found: Found) -> bool:
    """Store what came out; False where nothing did. Raises Incomplete where it cannot be kept."""
    if outcome.usage:
        raise UsageError(Fault("", "", outcome.reason or "unknown"))
    if outcome.bundle is None:
        return False
    try:
        store.put(outcome.address, outcome.bundle)
    except OSError as error:
        raise Incomplete(f"cannot keep results in {store.root}: {error.strerror or error}") from None
    found[outcome.address] = store.get(outcome.address)
    return True


def whole_spec(jobs: Sequence[Job]) -> Mapping[str, Any]:
    """Join the specifications of jobs of one address, which differ only in what is observed and the models for it."""
    first, *rest = (job.spec for job in jobs)
    if not rest:
        return first
    models: dict[str, Any] = {}
    observe: dict[str, Any] = {}
    for spec in (first, *rest):
        models |= spec["models"]
        observe |= {each["key"]: each for each in spec["observe"]}
    return {**first, "models": models, "observe": list(observe.values())}


def weight(job: Job) -> float:
    """Guess how long a job takes, in forwards: a backward through frozen weights costs about another."""
    return sum(job.cost) + job.evaluations
