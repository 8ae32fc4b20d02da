"""What is left to compute of a stage: of its jobs, and of its rounds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..planning.jobs import Job, PlannedJob, merge
from ..planning.plan import CellRows
from ..reserved import KEPT, RECORD
from ..store import Rows, Store
from . import Outcome


class RoundCounter:
    """Counts the jobs that are left of each round.

    Args:
        number: The number of each job's round, by its address; of all jobs.
        missing: The addresses of the jobs that are not stored.

    Attributes:
        complete: The number of rounds that are complete, like all before them.
    """

    def __init__(self, number: Mapping[str, int], missing: Collection[str]) -> None:
        self.number = number
        self.left = Counter(number[address] for address in missing)
        self.count = 1 + max(number.values(), default=-1)
        self.complete = 0

    def finish(self, address: str) -> None:
        """Count a job as finished or failed."""
        self.left[self.number[address]] -= 1

    def has_completed(self, address: str) -> bool:
        """Return whether the round of a job is complete, like all before it."""
        return self.number[address] < self.complete

    def newly_complete(self) -> bool:
        """Count the rounds that are complete, like all before them. Return whether there are more than before."""
        before = self.complete
        while self.complete < self.count and not self.left[self.complete]:
            self.complete += 1
        return self.complete > before


class Pending:
    """The jobs of a stage by address, their rows so far, and their cells that were missing at the start."""

    def __init__(self, jobs: Sequence[PlannedJob], store: Store) -> None:
        self.jobs: dict[str, list[PlannedJob]] = defaultdict(list)
        for job in jobs:
            self.jobs[job.address].append(job)
        self.store = store
        self.rows: CellRows = {}
        for address in self.jobs:
            self.read(address)
        missing = {
            address: tuple(sorted({cell.key for job in planned for cell in job.cells} - set(self.rows[address])))
            for address, planned in self.jobs.items()
        }
        self.missing = {address: cells for address, cells in missing.items() if cells}

    def read(self, address: str) -> None:
        """Read the rows of a job's cells from the store. Of kept images, which are large, only their keys are noted."""
        wanted, images = self._cells(address)
        self.rows[address] = self.store.get(address, wanted)
        if images:
            self.rows[address] |= {key: {} for key in images & self.store.cells(address)}

    def add(self, address: str, rows: Rows) -> None:
        """Add rows that have just been stored."""
        wanted, images = self._cells(address)
        self.rows[address] |= {key: {} if key in images else rows[key] for key in rows.keys() & (wanted | images)}

    def _cells(self, address: str) -> tuple[set[str], set[str]]:
        """Return the keys of a job's cells: of those whose rows are read, and of its kept images."""
        cells = {cell for job in self.jobs[address] for cell in job.cells}
        images = {cell.key for cell in cells if cell.metric == KEPT}
        return {cell.key for cell in cells} - images, images

    def merged(self, address: str) -> Job:
        return merge([planned.job for planned in self.jobs[address]])

    def passes(self, address: str) -> float:
        return max(planned.passes for planned in self.jobs[address])

    def parts(self, address: str, wanted: Collection[str], failed: Outcome) -> list[tuple[str, ...]]:
        """Return the parts in which to try failed cells again; none if they cannot be divided.

        If a target is known to have failed, its cells are one part, and those of all other targets are the other. Else
        each metric is a part, with all its targets. The targets of a single metric are parts if the worker died,
        because a target may have crashed it.
        """
        cells = {cell.key: cell for job in self.jobs[address] for cell in job.cells if cell.key in wanted}
        cells.pop(RECORD, None)
        by_target, by_metric, of_failed = (defaultdict[Any, dict[str, None]](dict) for _ in range(3))
        for key, cell in cells.items():
            by_target[cell.target][key] = by_metric[cell.metric][key] = None
            of_failed[cell.target is not None and cell.target == failed.network][key] = None
        if failed.network is not None and len(of_failed) == 2:
            found = of_failed
        elif failed.died and len(by_metric) == 1:
            found = by_target
        else:
            found = by_metric
        return [tuple(keys) for keys in found.values()] if len(found) > 1 else []
