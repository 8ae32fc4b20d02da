"""What a plan costs on a machine, as plain values; `executors/calibrate.py` measures it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..reserved import EXAMINED
from .jobs import PlannedJob

Group = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pace:
    """The measured cost of a job.

    Attributes:
        images: The number of images in the job.
        seconds: The wall-clock time of the complete job.
        passes: The forward and backward passes of its attack, per image.
        peak_bytes: The peak memory of the worker; None if the system does not report it.
        void: Why the job failed; None if it did not.
    """

    images: int
    seconds: float = math.nan
    passes: tuple[float, float] = (math.nan, math.nan)
    peak_bytes: int | None = None
    void: str | None = None


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of what a plan has still to compute.

    Attributes:
        paces: The pace of each group of jobs that is not completely stored.
        workers: The number of workers that the time is estimated for.
        measured: The number of groups that were measured now; the others were cached.
    """

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
        """Return the pace of the job's group; None if it failed or was not measured."""
        pace = self.paces.get(group_of(job))
        return None if pace is None or pace.void else pace

    def seconds(self, job: PlannedJob) -> float:
        """Return the seconds that one worker needs for a job; 0 if unknown."""
        pace = self.pace(job)
        return pace.seconds * job.images / pace.images if pace else 0.0


def group_of(job: PlannedJob) -> Group:
    """Return what jobs of equal cost share: labels and metrics. The check of a network is cheap and not counted."""
    return (*job.labels.items(), *(("metric", cell.metric) for cell in job.cells if cell.metric != EXAMINED))
