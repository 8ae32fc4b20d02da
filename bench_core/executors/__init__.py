"""The interface of executors, which compute jobs. Tasks are JSON and results are bytes, so any machine can compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..types import Json


@dataclass(frozen=True)
class Limits:
    """The limits of a task: `seconds` of wall-clock time, and bytes of resident `memory`. None means no limit.

    `until` is a time of `time.monotonic` at which the task ends, so that all tasks together can have a limit.
    """

    seconds: float | None = None
    memory: int | None = None
    until: float | None = None

    def __bool__(self) -> bool:
        return (self.seconds, self.memory, self.until) != (None, None, None)


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Task:
    """A job to compute.

    Attributes:
        address: The job's address in the store.
        spec: The job as JSON.
        wanted: The keys of the cells to compute.
        limits: The time and memory that it may use.
        state_file: Where a worker may keep the state of the job until it is computed; None if the store is not there.
        memory: The bytes that a worker may take, for which it makes batches small enough; None for no limit.
    """

    address: str
    spec: Json
    wanted: tuple[str, ...]
    limits: Limits = NO_LIMITS
    state_file: str | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of a task.

    Attributes:
        address: The address of the task.
        bundle: The rows of the cells, for the store; None if the task failed.
        reason: Why it failed.
        usage: Whether the reason is a mistake of the user (exit code 2), not a plugin that failed (void cells).
        network: The label of the network that failed, if one did and it is known.
        died: Whether the worker died or exceeded a limit, so that the plugin that failed is unknown.
        over_limit: Whether it exceeded a limit.
    """

    address: str
    bundle: bytes | None = None
    reason: str | None = None
    usage: bool = False
    network: str | None = None
    died: bool = False
    over_limit: bool = False


class Executor(Protocol):
    """Computes tasks.

    A run calls `run` several times: for the clean images, for the check of sources, for the attacks, and for retries.

    Optional members:
        close(): Stops workers that are kept between these calls. Called at the end of a run, even if it fails.
        on_this_machine: True if its workers can write into the store's folder. Then long jobs can be resumed.
        limits: True if the executor enforces `Task.limits`. Without it, the host rejects a run with limits.
    """

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield one outcome for each task, in any order, as soon as it is computed. Closing the iterator stops.

        An outcome is stored before the next one is asked for. An executor whose workers compute elsewhere gives them
        their next tasks before it yields, so that they do not wait for it.

        `tasks` may be a `TaskQueue` (`bench_core.executors.tasks`). An executor that can may then call its method
        `report(address, share)` while a task is computed, so that progress is shown within a long task.
        """
        ...
