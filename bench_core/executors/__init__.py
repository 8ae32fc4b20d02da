"""Who computes the jobs. An executor passes JSON in and bundles of bytes out, so that any machine will do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..types import Json


@dataclass(frozen=True)
class Limits:
    """What a task may take before it is stopped: `seconds` of wall clock, `memory` in bytes; None is no limit."""

    seconds: float | None = None
    memory: int | None = None

    def __bool__(self) -> bool:
        return (self.seconds, self.memory) != (None, None)


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Task:
    """A job to compute, which of its cells are wanted, and what that may take."""

    address: str
    spec: Json
    wanted: tuple[str, ...]
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class Outcome:
    """What became of a task: a bundle for the store, or the reason why there is none.

    `usage` says that the reason is a mistake of the user's (exit code 2), not a plugin's that failed (void cell).
    """

    address: str
    bundle: bytes | None = None
    reason: str | None = None
    usage: bool = False


class Executor(Protocol):
    """`run` gives the outcomes in any order, each as soon as it is there; closing the iterator stops the work.

    It is called for the clean images, for a look at the sources where an attack wants one, and for the attacks. An
    executor that keeps workers between these has a method `close()` as well, called at the end of the run however it
    ends. One that holds tasks to their limits says so by `limits = True`; the host gives them to no other.
    """

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]: ...
