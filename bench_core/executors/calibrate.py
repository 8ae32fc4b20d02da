"""Measures how long a plan takes on this machine, for `bench plan --cost`.

The first job of each group is timed in a worker process for a few steps, and the time of all steps is extrapolated.
The measurements are cached in a file. Their keys are digests of the job and of the processor.
"""

from __future__ import annotations

import json
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
from ..planning.cost import Estimate, Group, Pace, group_of
from ..planning.jobs import AttackJob, CleanJob, Job, PlannedJob
from ..planning.plan import Plan
from ..progress import Progress
from ..reserved import EXAMINED, RECORD
from ..store import write_atomically
from ..types import Json
from . import Task
from .hardware import processor
from .local import WorkerProcess, default_workers

CACHE_FILE = "calibration.json"
FEW_STEPS, FEW_IMAGES = 4, 25
LONG_SECONDS = 10.0  # a trial longer than this is not repeated to warm up, unless it included the worker's start


def estimate(plan: Plan, folder: Path, workers: int | None, progress: Progress, memory: int | None = None) -> Estimate:
    """Estimate the cost, on this machine, of the jobs of a plan that are not stored yet.

    Args:
        plan: The plan, with images.
        folder: The folder of results, where measurements are cached.
        workers: The number of workers to estimate the time for; None for the default of the executor `local`.
        progress: Where progress is shown.
        memory: The bytes that a worker may take, for which batches are made small enough; None for no limit.

    Returns:
        The estimate. A group whose job failed has a pace with the reason.
    """
    to_do: dict[Group, list[PlannedJob]] = {}
    for job in plan.jobs:
        if plan.missing(job):
            to_do.setdefault(group_of(job), []).append(job)
    environment = plan.resolved.environment
    known = read_paces(folder / CACHE_FILE)
    paces: dict[Group, Pace] = {}
    unknown: list[tuple[Group, str, PlannedJob, list[str]]] = []
    for group, jobs in to_do.items():
        wanted = sorted(cell.key for cell in plan.missing(jobs[0]) if cell.metric != EXAMINED)
        key = digest([processor(environment.device), cost_key(jobs[0]), wanted, *([] if memory is None else [memory])])
        if key in known:
            paces[group] = known[key]
        else:
            unknown.append((group, key, jobs[0], wanted))
    stage = progress.stage("calibration", len(unknown)) if unknown else _no_stage()
    with stage as advance, WorkerProcess() as worker:
        for group, key, job, wanted in unknown:
            paces[group] = known[key] = measure(job, wanted, worker, memory)
            write_paces(folder / CACHE_FILE, known)
            advance(1)
    return Estimate(paces, workers or default_workers(environment.to_json()), len(unknown))


def cost_key(job: PlannedJob) -> Json:
    """Return what the cost of a job depends on: its specification, with the number of its images in their place."""
    whole = computed_at_once(job.job)
    return {**{key: value for key, value in whole.to_json().items() if key != "batch"}, "images": len(whole.batch)}


def computed_at_once(job: Job) -> Job:
    """Return the job that a worker computes: over all images of its group."""
    return job.whole() if isinstance(job, AttackJob) else job


def measure(job: PlannedJob, wanted: list[str], worker: WorkerProcess, memory: int | None = None) -> Pace:
    """Time a job in a worker.

    Args:
        job: The job. An attack is timed for one step and for a few steps, from which all are extrapolated. A clean job
            with expensive metrics is timed on a few images.
        wanted: The keys of the cells to compute.
        worker: The worker. Its start is not part of the job's time.
        memory: The bytes that it may take; None for no limit.

    Returns:
        The pace of the job, or of its first images; with `void` if it failed.
    """
    steps = job.job.budget.steps if isinstance(job.job, AttackJob) else 1
    trials = _Trials(job, wanted, worker, memory)
    few = min(FEW_STEPS, steps)
    starting = not worker.running
    try:
        single = trials.run(1)
        if starting or single.seconds < LONG_SECONDS:
            single = trials.run(1)
        if few == 1:
            return Pace(trials.images, single.seconds, single.passes, trials.peak_bytes)
        several = trials.run(few)
    except _Failed as error:
        return Pace(trials.images, void=str(error))
    step_seconds = max(0.0, several.seconds - single.seconds) / (few - 1)
    seconds = single.seconds + step_seconds * (steps - 1)
    forwards, backwards = (
        a + (b - a) / (few - 1) * (steps - 1) for a, b in zip(single.passes, several.passes, strict=True)
    )
    return Pace(trials.images, seconds, (forwards, backwards), trials.peak_bytes)


class _Failed(Exception):
    """The job failed; the message is the reason."""


@dataclass(frozen=True)
class _Trial:
    """Wall-clock seconds, and the mean forward and backward passes per image."""

    seconds: float
    passes: tuple[float, float]


class _Trials:
    """Runs a job for a given number of steps, and keeps the peak memory of all trials in `peak_bytes`."""

    def __init__(self, job: PlannedJob, wanted: list[str], worker: WorkerProcess, memory: int | None) -> None:
        self.job = computed_at_once(job.job)
        self.memory = memory
        self.wanted, self.worker = tuple(wanted), worker
        self.peak_bytes: int | None = None
        self.images = len(self.job.batch)
        if isinstance(self.job, CleanJob) and job.evaluations > job.images > FEW_IMAGES:  # expensive metrics
            self.job = replace(self.job, batch=self.job.batch.take(FEW_IMAGES))
            self.images = FEW_IMAGES

    def run(self, steps: int) -> _Trial:
        job = self.job
        if isinstance(job, AttackJob):
            job = replace(job, budget=replace(job.budget, steps=steps))
        if self.worker.process:
            reset_peak_memory(self.worker.process.pid)
        start = time.perf_counter()
        outcome = self.worker.compute(Task("", job.to_json(), self.wanted, memory=self.memory))
        seconds = time.perf_counter() - start
        if outcome.bundle is None:
            raise _Failed(outcome.reason or "no reason given")
        if self.worker.process:
            self.peak_bytes = max(self.peak_bytes or 0, peak_memory(self.worker.process.pid)) or None
        arrays = load(outcome.bundle)
        forwards, backwards = (
            float(arrays.get(f"{RECORD}/{name}", np.zeros(1)).mean()) for name in ("forwards", "backwards")
        )
        return _Trial(seconds, (forwards, backwards))


@contextmanager
def _no_stage() -> Iterator[Callable[[float], None]]:
    yield lambda _amount: None


def peak_memory(pid: int) -> int:
    """Return the peak memory of a process in bytes since its last reset; 0 if the kernel does not report it."""
    with suppress(OSError):
        match = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(match[1]) * 1024 if match else 0
    return 0


def reset_peak_memory(pid: int) -> None:
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def read_paces(path: Path) -> dict[str, Pace]:
    """Read the cached measurements; empty if the file is missing or damaged."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        paces = {key: Pace(**values) for key, values in content.items()}
        return {key: replace(pace, passes=(pace.passes[0], pace.passes[1])) for key, pace in paces.items()}
    except (OSError, ValueError, TypeError, IndexError, AttributeError):
        return {}


def write_paces(path: Path, paces: Mapping[str, Pace]) -> None:
    """Cache the measurements. Those of failed jobs are left out, so that they are repeated."""
    measured = {key: asdict(pace) for key, pace in paces.items() if pace.void is None}
    write_atomically(path, (json.dumps(measured, indent=1) + "\n").encode())
