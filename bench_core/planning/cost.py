"""How long a plan takes on this machine: the first job of each group, cut to a few steps, is timed in a worker.

What is measured is kept in a file, by what was computed and on what, so that a second question costs nothing.
"""

from __future__ import annotations

import json
import math
import queue
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from ..digests import digest
from ..executors import Task
from ..executors.hardware import processor
from ..executors.local import Hand, default_workers
from ..progress import Progress
from ..reserved import EXAMINED, RECORD
from ..store import write_atomically
from ..types import Json
from .jobs import AttackJob, CleanJob, Job, PlannedJob
from .plan import Plan

FILE = "calibration.json"
FEW_STEPS, FEW_IMAGES = 4, 25
OF_IMAGES = ("indices", "ids", "labels", "targets")  # what a specification says of each image
LONG_SECONDS = 10.0  # a piece that takes longer is not repeated to warm up, unless the worker had yet to start
Group = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pace:
    """What a job of so many `images` costs: `seconds` in all, `passes` forwards and backwards of its attack an image.

    `peak_bytes` is the most memory that the worker held, None where the system does not say; `void` why it failed.
    """

    images: int
    seconds: float = math.nan
    passes: tuple[float, float] = (math.nan, math.nan)
    peak_bytes: int | None = None
    void: str | None = None


@dataclass(frozen=True)
class Estimate:
    """The `paces` of all groups that have something to do, and how many of them were measured now, not before."""

    paces: Mapping[Group, Pace]
    workers: int
    measured: int

    @property
    def peak_bytes(self) -> int | None:
        return max((pace.peak_bytes for pace in self.paces.values() if pace.peak_bytes), default=None)

    @property
    def voids(self) -> list[str]:
        return sorted({pace.void for pace in self.paces.values() if pace.void})

    def pace(self, job: PlannedJob) -> Pace | None:
        """Give the pace of a job's group, unless it failed."""
        found = self.paces.get(group_of(job))
        return None if found is None or found.void else found

    def seconds(self, job: PlannedJob) -> float:
        """Seconds of one worker; 0 where nothing is known."""
        pace = self.pace(job)
        return pace.seconds * job.images / pace.images if pace else 0.0


def group_of(job: PlannedJob) -> Group:
    """Jobs of one group differ in their images alone; that the host looks at a network in its first counts little."""
    return (*job.labels.items(), *(("metric", cell.metric) for cell in job.cells if cell.metric != EXAMINED))


def estimate(plan: Plan, folder: Path, workers: int | None, progress: Progress) -> Estimate:
    """Estimate how long what the plan lacks takes here, measuring the groups of jobs that `folder` has no pace of."""
    to_do: dict[Group, list[PlannedJob]] = {}
    for job in plan.jobs:
        if plan.missing(job):
            to_do.setdefault(group_of(job), []).append(job)
    known = read_paces(folder / FILE)
    paces: dict[Group, Pace] = {}
    fresh: list[tuple[Group, str, PlannedJob, list[str]]] = []
    for group, jobs in to_do.items():
        wanted = sorted(cell.key for cell in plan.missing(jobs[0]) if cell.metric != EXAMINED)
        key = digest([processor(plan.resolved.environment.device), pieces_key(jobs[0]), wanted])
        if key in known:
            paces[group] = known[key]
        else:
            fresh.append((group, key, jobs[0], wanted))
    with progress.stage("calibration", len(fresh)) if fresh else _nothing() as advance, a_worker() as hand:
        for group, key, job, wanted in fresh:
            paces[group] = known[key] = measure(job, wanted, hand)
            write_paces(folder / FILE, known)
            advance(1)
    return Estimate(paces, workers or default_workers(plan.resolved.environment.to_json()), len(fresh))


def pieces_key(job: PlannedJob) -> Json:
    """Give what the pace of a job follows from: its specification less the images, of which only the number counts."""
    return {**{k: v for k, v in job.job.to_json().items() if k != "batch"}, "images": job.images}


def measure(job: PlannedJob, wanted: list[str], hand: Hand) -> Pace:
    """Time a job: its first images where there is no attack, else its first steps, and from these the whole."""
    steps = job.job.budget.steps if isinstance(job.job, AttackJob) else 1
    timed = _Timed(job, wanted, hand)
    few = min(FEW_STEPS, steps)
    fresh = hand.process is None  # it starts, and imports all it needs, within the first piece: no time of the job's
    try:
        first, least = timed(1)
        if fresh or first < LONG_SECONDS:
            first, least = timed(1)
        if few == 1:
            return Pace(timed.images, first, least, timed.peak)
        second, more = timed(few)
    except ValueError as error:
        return Pace(timed.images, void=str(error))
    each = max(0.0, second - first) / (few - 1)
    passes = [a + (b - a) / (few - 1) * (steps - 1) for a, b in zip(least, more, strict=True)]
    return Pace(timed.images, first + each * (steps - 1), (passes[0], passes[1]), timed.peak)


class _Timed:
    """Computes a job for so many steps; gives seconds and passes, and keeps the largest memory."""

    def __init__(self, job: PlannedJob, wanted: list[str], hand: Hand) -> None:
        self.job: Job = job.job
        self.wanted, self.hand = tuple(wanted), hand
        self.peak: int | None = None
        self.images = job.images
        if isinstance(self.job, CleanJob) and job.evaluations > job.images > FEW_IMAGES:  # expensive metrics
            self.job = replace(self.job, batch=self.job.batch.take(FEW_IMAGES))
            self.images = FEW_IMAGES

    def __call__(self, steps: int) -> tuple[float, tuple[float, float]]:
        """Raises ValueError where the job is void."""
        job = self.job
        if isinstance(job, AttackJob):
            job = replace(job, budget=replace(job.budget, steps=steps))
        if self.hand.process:
            reset_peak(self.hand.process.pid)
        start = time.perf_counter()
        outcome = self.hand.ask(Task("", job.to_json(), self.wanted))
        seconds = time.perf_counter() - start
        if outcome.bundle is None:
            raise ValueError(outcome.reason or "no reason given")
        if self.hand.process:
            self.peak = max(self.peak or 0, peak(self.hand.process.pid)) or None
        arrays = load(outcome.bundle)
        passes = [arrays.get(f"{RECORD}/{name}", np.zeros(1)) for name in ("forwards", "backwards")]
        return seconds, (float(passes[0].mean()), float(passes[1].mean()))


@contextmanager
def a_worker() -> Iterator[Hand]:
    hand = Hand(queue.SimpleQueue(), queue.SimpleQueue())
    try:
        yield hand
    finally:
        hand.stop()


@contextmanager
def _nothing() -> Iterator[Callable[[float], None]]:
    yield lambda _amount: None


def peak(pid: int) -> int:
    """Give the most memory, in bytes, that a process held since it was last reset; 0 where the kernel does not say."""
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def reset_peak(pid: int) -> None:
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def read_paces(path: Path) -> dict[str, Pace]:
    """Read what was measured before; a damaged file, or none, is as if nothing were."""
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        paces = {key: Pace(**each) for key, each in given.items()}
        return {key: replace(pace, passes=(pace.passes[0], pace.passes[1])) for key, pace in paces.items()}
    except (OSError, ValueError, TypeError, IndexError, AttributeError):
        return {}


def write_paces(path: Path, paces: Mapping[str, Pace]) -> None:
    """Keep what was measured; what failed is tried again."""
    sound = {key: asdict(pace) for key, pace in paces.items() if pace.void is None}
    write_atomically(path, (json.dumps(sound, indent=1) + "\n").encode())
