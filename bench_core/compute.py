"""Has an executor compute what the store lacks, and keeps every result the moment it is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from .errors import Fault, UsageError
from .executors import Executor, Outcome, Task
from .plan import Job
from .progress import Progress
from .registry import Registry
from .store import Store

Found = dict[str, dict[str, dict[str, NDArray[Any]]]]  # address -> cell -> row -> array


class Interrupted(Exception):
    """Ctrl-C; what finished is stored."""


class Incomplete(Exception):
    """Results could not be kept, a full disk for one; what finished is stored."""


def compute(
    name: str, jobs: Sequence[Job], store: Store, executor: Executor, progress: Progress, registry: Registry
) -> tuple[Found, dict[str, str]]:
    """Give the rows of all jobs, computing those cells that the store has not whole, and the reasons of voids.

    Raises Interrupted, Incomplete, or UsageError where a worker found a mistake of the user's.
    """
    by_address: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_address[job.address].append(job)
    found: Found = {address: store.get(address) for address in by_address}
    tasks = []
    for address, same in by_address.items():
        missing = {cell.key for job in same for cell in job.cells} - set(found[address])
        if missing:
            tasks.append(Task(address, whole_spec(same), tuple(sorted(missing))))
    voids: dict[str, str] = {}
    if not tasks:
        return found, voids
    weights = {task.address: max(map(weight, by_address[task.address])) for task in tasks}
    with progress.stage(name, sum(weights.values())) as advance, _stopping(executor.run(tasks)) as outcomes:
        for outcome in outcomes:
            _keep(outcome, store, found, voids)
            for job in by_address[outcome.address]:
                registry.manager.hook.bench_cell_done(job=job, rows=found[outcome.address], reason=outcome.reason)
            advance(weights[outcome.address])
    return found, voids


@contextmanager
def _stopping(outcomes: Iterator[Outcome]) -> Iterator[Iterator[Outcome]]:
    """Stop the executor whatever happens, and say what happened in the run's own terms."""
    try:
        yield outcomes
    except KeyboardInterrupt:
        raise Interrupted from None
    except OSError as error:
        raise Incomplete(f"cannot keep results: {error.strerror or error}") from None
    finally:
        close = getattr(outcomes, "close", None)
        if close:
            close()


def _keep(outcome: Outcome, store: Store, found: Found, voids: dict[str, str]) -> None:
    if outcome.bundle is not None:
        store.put(outcome.address, outcome.bundle)
        found[outcome.address] = store.get(outcome.address)
    elif outcome.usage:
        raise UsageError(Fault("", "", outcome.reason or "unknown"))
    else:
        voids[outcome.address] = outcome.reason or "no reason given"


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
