"""Groups of jobs that a worker computes as one task, whose rows are then divided among the jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from safetensors.numpy import load

from ..planning.jobs import AttackJob, Job, merge
from ..store import Rows, pack_parts, rows_by_cell
from . import Limits, Outcome
from .pending import Pending


@dataclass(frozen=True)
class Member:
    """A job of a group: its address, its rows within those of the group, and its cells to compute."""

    address: str
    rows: slice
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """The outcome of a job of a group, and the rows that its bundle has; None if they were not taken apart."""

    outcome: Outcome
    rows: Rows | None = None


@dataclass(frozen=True)
class Group:
    """Jobs that are computed as one task; most often a single one.

    Attributes:
        address: The address of the task: that of its only job, or of the job over all images of the group.
        job: What a worker computes.
        members: The jobs whose cells are wanted. The other micro-batches of the group are computed too, since the
            batch shows in the last bits, and then dropped.
        size: The number of micro-batches.
    """

    address: str
    job: Job
    members: tuple[Member, ...]
    size: int

    @property
    def wanted(self) -> tuple[str, ...]:
        """The cells to compute."""
        return tuple(dict.fromkeys(key for member in self.members for key in member.wanted))

    def limits(self, each: Limits) -> Limits:
        """Return the limits of the task, given those of a job: it has the time of one job for each micro-batch."""
        return each if each.seconds is None else replace(each, seconds=each.seconds * self.size)

    def parts(self, whole: Outcome) -> list[Part]:
        """Return the outcome of each job, given that of the task."""
        if self.size == 1:
            return [Part(whole)]
        if whole.bundle is None:
            return [Part(replace(whole, address=member.address)) for member in self.members]
        arrays, found = load(whole.bundle), list[Part]()
        for wanted, members in groupby(self.members, key=lambda member: member.wanted):
            slices = {member.address: member.rows for member in members}
            named = {name: rows for name, rows in arrays.items() if name.partition("/")[0] in wanted}
            for (address, part), bundle in zip(slices.items(), pack_parts(named, [*slices.values()]), strict=True):
                rows = rows_by_cell({name: array[part] for name, array in named.items()})
                found.append(Part(Outcome(address, bundle), rows))
        return found


def grouped(pending: Pending, wanted: Mapping[str, Collection[str]]) -> dict[str, Group]:
    """Return the groups that compute the wanted cells of some addresses, by the addresses of their tasks."""
    found: dict[str, Group] = {}
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for address, cells in wanted.items():
        planned = pending.jobs[address][0]
        if isinstance(planned.job, AttackJob) and planned.job.together:
            together[(planned.job.together.identity, *planned.labels.values())].append(address)
        else:
            job = pending.merged(address)
            found[address] = Group(address, job, (Member(address, slice(None), tuple(cells)),), 1)
    for addresses in together.values():
        jobs = [planned.job for address in addresses for planned in pending.jobs[address]]
        whole = merge([job.whole() for job in jobs if isinstance(job, AttackJob)])
        place = {index: row for row, index in enumerate(whole.batch.indices)}
        members = []
        for address in addresses:
            batch = pending.jobs[address][0].job.batch
            start = place[batch.indices[0]]
            members.append(Member(address, slice(start, start + len(batch)), tuple(wanted[address])))
        size = -(-len(whole.batch) // len(jobs[0].batch))
        found[whole.address()] = Group(whole.address(), whole, tuple(members), size)
    return found
