"""Keeps the state of a long job in a file between two steps, so that a run that is interrupted loses little of it.

Only an attack that hands its state over can be resumed (`types.Attack.resumable`), and only on networks that neither
draw random numbers nor change in themselves. A resumed job gives the same bits as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..digests import digest
from ..store import write_atomically
from .attack_run import AttackRun
from .diagnostics import AttackDiagnostics
from .rows import Arrays

SECONDS = 30.0  # between two writes, and before the first: a shorter job is never written
SHARE = 0.02  # of the time, at most, is spent writing
DIGEST_BYTES = 32


@dataclass(frozen=True)
class State:
    """What is known of an attack's run after a step.

    Attributes:
        step: The number of steps that are done.
        images: The last images.
        attack: What the attack keeps in its memory.
        passes: Forwards, backwards, and whether the counter was bypassed.
        before: The margins that the diagnostics keep.
        observed: The rows of each step, for each observer by its key.
    """

    step: int
    images: Tensor
    attack: Any
    passes: tuple[int, int, bool]
    before: Tensor
    observed: Mapping[str, Sequence[Mapping[str, Tensor]]]


class StateFile:
    """A file with the state of one job and the cells that are wanted of it.

    Args:
        path: The file.
        address: The address of the job, which changes with its code and inputs.
        wanted: The keys of the cells.
    """

    def __init__(self, path: Path, address: str, wanted: Collection[str]) -> None:
        self.path, self.key = path, digest([address, sorted(wanted)])
        self.next = time.monotonic() + SECONDS

    def read(self, device: torch.device) -> State | None:
        """Return the state; None if there is none, or if it is damaged or of another job."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        found, packed = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(packed).digest() != found:
            return None
        state = torch.load(io.BytesIO(packed), map_location=device, weights_only=True)
        return State(**state) if state.pop("key") == self.key else None

    @property
    def due(self) -> bool:
        return time.monotonic() >= self.next

    def write(self, state: State) -> None:
        """Write a state. A disk that is full is no reason to stop: the job can be computed without the file."""
        start, packed = time.monotonic(), io.BytesIO()
        torch.save({**vars(state), "key": self.key}, packed)  # keeps strides, on which the last bits may depend
        with contextlib.suppress(OSError):
            write_atomically(self.path, hashlib.sha256(packed.getvalue()).digest() + packed.getvalue())
        now = time.monotonic()
        self.next = now + max(SECONDS, (now - start) / SHARE)


class Collecting(Protocol):
    """What observes an attack: the rows of each step so far are all that it remembers."""

    key: str
    collected: list[Arrays]


class Checkpoint:
    """What is known of an attack's run after a step: in memory, and from time to time in a file.

    Args:
        file: The file; None for a run that cannot be resumed.
        run: The run of the attack, with a memory.
        diagnostics: Its diagnostics.
        observers: What observes it.
    """

    def __init__(
        self, file: StateFile | None, run: AttackRun, diagnostics: AttackDiagnostics, observers: Sequence[Collecting]
    ) -> None:
        self.file, self.run, self.diagnostics, self.observers = file, run, diagnostics, observers

    def restore(self) -> tuple[int, Tensor | None]:
        """Bring everything to where the file left it. Return the number of steps that are done and the last images."""
        state = self.file.read(self.run.examples.images.device) if self.file else None
        if state is None or self.run.memory is None:
            return 0, None
        self.run.memory.state = state.attack
        passes = self.run.passes
        passes.forwards, passes.backwards, passes.bypassed = state.passes
        if self.run.limit is not None:
            self.run.limit.restore(passes.forwards, passes.backwards)
        self.diagnostics.before = state.before
        for observer in self.observers:
            rows = state.observed[observer.key]
            observer.collected = [{name: row.cpu().numpy() for name, row in step.items()} for step in rows]
        return state.step, state.images

    def step(self, index: int, images: Tensor) -> None:
        """Write the state after a step, if the last write is long enough ago."""
        if self.file is None or self.run.memory is None or not self.file.due:
            return
        observed = {
            observer.key: [{name: torch.from_numpy(row) for name, row in step.items()} for step in observer.collected]
            for observer in self.observers
        }
        passes = (self.run.passes.forwards, self.run.passes.backwards, self.run.passes.bypassed)
        memory = self.run.memory.state
        self.file.write(State(index, images, memory, passes, self.diagnostics.before, observed))
