"""Exports the images of a run: computes those that are not kept, and writes them with a list of what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import Fault, UsageError, stop_at_faults
from ..executors import Executor
from ..executors.devices import find_device
from ..executors.dispatch import Dispatcher, Reasons
from ..given.find import image_names
from ..planning.jobs import PlannedJob
from ..planning.plan import CellRows, stored_cells
from ..planning.resolve import ResolvedSuite, resolve
from ..planning.selection import Selection
from ..planning.weights import missing_faults
from ..progress import Progress
from ..registry import Registry
from ..reserved import KEPT, RECORD
from ..result import Result
from ..runs.load import build_metrics, load_result
from ..runs.record import RunRecord, read_record
from ..store import Store, store_of_run
from .files import Target, file_names
from .groups import Group, Request, find_groups, group_jobs, narrowed
from .layout import Layout, Pictures


@dataclass
class Exported:
    """What was exported.

    Attributes:
        groups: The groups of images that were written.
        images: The number of images of each.
        notes: What a reader must know of them.
        voids: Why other groups have no images.
    """

    groups: list[Group]
    images: int
    notes: list[str] = field(default_factory=list)
    voids: list[str] = field(default_factory=list)


def export(
    folder: Path,
    to: Path,
    request: Request,
    registry: Registry,
    executor: Executor,
    progress: Progress,
    device: str | None = None,
) -> Exported:
    """Write the adversarial images of a run to a folder, and attack again only where they are not kept.

    Args:
        folder: The run's folder.
        to: The folder to write. It must be new, or have an earlier part of the same export.
        request: What to export.
        registry: The installed plugins.
        executor: What computes attacks.
        progress: Where progress is shown.
        device: The device of the attacks; by default that of the run.

    Raises:
        UsageError: The run has no such images, the dataset or a network is not here, or the folder has something else.
    """
    result, record = load_result(folder, registry, warn=False), read_record(folder)
    metrics = build_metrics(result.suite, registry, str(folder))
    resolved = _resolved(record, request, registry, device)
    groups = find_groups(resolved, result, metrics, request)
    selection = Selection(tuple(record.images.indices), tuple(record.images.ids))
    count = min(request.images or len(selection.ids), len(selection.ids))
    jobs = {group: group_jobs(resolved, selection, group, count) for group in groups}
    planned = [job for of_group in jobs.values() for job in of_group]
    assert resolved.images is not None
    every = image_names(resolved.images)
    names = file_names([every[index] for index in selection.indices[:count]])
    target = Target(to, _mark(planned, groups, request, count))
    layout = Layout(target, resolved, selection.first(count), names, request)
    with store_of_run(folder) as store:
        stored = stored_cells(planned, store)
        if any(cell.key not in stored[job.address] for job in planned for cell in job.cells):
            stop_at_faults(missing_faults(resolved.suite, resolved.missing_weights))
        target.check_writable()  # before the attacks, which may take long
        rows, reasons = Dispatcher(store, executor, progress, registry).compute("attacks", planned)
        return _write(layout, jobs, rows, reasons, store, result, count)


def _resolved(record: RunRecord, request: Request, registry: Registry, device: str | None) -> ResolvedSuite:
    """Resolve the suite of a run as it was computed. Raises UsageError if its images are not on this machine."""
    made = record.environment
    resolved = resolve(
        narrowed(record.suite, request), registry, device=find_device(device or made["device"]),
        precision=made["dtype"], threads=made["threads"],
    )  # fmt: skip
    if resolved.images is None:
        raise UsageError(Fault(record.suite.name, "data", resolved.data_missing))
    ids, wanted = resolved.images.ids, record.images
    if max(wanted.indices) >= len(ids) or [ids[index] for index in wanted.indices] != wanted.ids:
        raise UsageError(Fault(record.suite.name, "data", "the dataset here is not the run's"))
    return resolved


def _mark(jobs: Sequence[PlannedJob], groups: Sequence[Group], request: Request, count: int) -> str:
    """Return what identifies an export, as JSON: what is computed, and which of it is written how."""
    facts = {
        "format": 1,
        "groups": [group.folder for group in groups],
        "images": count,
        "npz": request.npz,
        "clean": request.clean,
        "jobs": list(dict.fromkeys(job.address for job in jobs)),
    }
    return json.dumps(facts, indent=1) + "\n"


def _write(
    layout: Layout, jobs: Mapping[Group, Sequence[PlannedJob]], rows: CellRows, reasons: Reasons, store: Store,
    result: Result, count: int,
) -> Exported:  # fmt: skip
    """Write the images of all groups, and say what differs from the run."""
    exported = Exported([], count)
    layout.begin()
    for group, planned in jobs.items():
        keys = {job.address: next(cell.key for cell in job.cells if cell.metric == KEPT) for job in planned}
        void = next((reasons[job, key] for job, key in keys.items() if (job, key) in reasons), None)
        if void is not None:
            exported.voids.append(f"{group}: {void}")
            continue
        layout.write_group(group, (_kept(job, store, keys[job.address]) for job in planned))
        exported.groups.append(group)
        if _differs(group, planned, rows, result, count):
            made = "they were made again with other code, or on another machine or device"
            exported.notes.append(f"{group}: the images differ from those that the run judged: {made}")
    layout.finish()
    exported.notes[:0] = layout.notes
    return exported


def _kept(job: PlannedJob, store: Store, key: str) -> Pictures:
    return Pictures(job.job.batch, store.get(job.address, [key])[key])


def _differs(group: Group, jobs: Sequence[PlannedJob], rows: CellRows, result: Result, count: int) -> bool:
    """Return whether sizes and margins of the images on their source are not, to the bit, those of the run."""
    labels = {"source": group.source, "attack": group.attack, "budget": group.budget}
    recorded = [row for row in result.rows if row.metric == RECORD and not row.void and row.labels.matches(labels)]
    if len(recorded) != 1:
        return False
    names = ("l2", "linf", "margin")
    found = {name: np.concatenate([rows[job.address][RECORD][name] for job in jobs])[:count] for name in names}
    return any(not np.array_equal(found[name], recorded[0].arrays[name][:count]) for name in found)
