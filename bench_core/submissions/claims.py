"""What a run claims, job by job: the plan that its record gives here, joined with the rows that it has."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError
from ..executors.devices import find_device
from ..planning.dataset_share import classifies_all
from ..planning.jobs import Cell, PlannedJob
from ..planning.planner import clean_jobs, is_white_box, selected_jobs
from ..planning.resolve import ResolvedSuite, resolve
from ..planning.selection import Selection, admitted, needs_no_predictions
from ..registry import Registry
from ..reserved import KEPT, PREDICTED
from ..runs.record import RunRecord
from ..scores.images import Over
from ..scores.labels import Labels
from ..scores.rows import Arrays, RowSet, complete_labels


@dataclass(frozen=True)
class ClaimedCell:
    """A cell of a job with the arrays that the run has for it; None if it has none, because it is `void` or missing."""

    cell: Cell
    labels: Labels
    arrays: Arrays | None
    void: str | None = None

    @property
    def name(self) -> str:
        return " ".join([self.cell.metric, *(f"{name}={value}" for name, value in self.labels.items())])


@dataclass(frozen=True)
class ClaimedJob:
    """A job of the run's plan, over the dataset or over the selection, with what the run claims of its cells."""

    planned: PlannedJob
    cells: tuple[ClaimedCell, ...]
    over: Over

    @property
    def claimed(self) -> list[ClaimedCell]:
        """The cells that have values."""
        return [cell for cell in self.cells if cell.arrays is not None]


def resolve_run(record: RunRecord, registry: Registry, device: str | None = None) -> ResolvedSuite:
    """Resolve the suite of a run for this machine, as the run was computed.

    Args:
        record: The run's record.
        registry: The installed plugins.
        device: The device; by default that of the run.

    Raises:
        UsageError: The suite needs what is not installed here.
    """
    made = record.environment
    try:
        where = find_device(device or str(made.get("device", "cpu")))
        dtype, threads = made.get("dtype", "float32"), int(made.get("threads", 1))
    except (TypeError, ValueError, OverflowError):
        raise UsageError(Fault("run.json", "environment", "damaged")) from None
    if dtype not in ("float32", "bfloat16", "float16") or not 1 <= threads <= 1024:
        raise UsageError(Fault("run.json", "environment", "damaged"))
    # the run has its published values; the file that the suite took them from may be on another machine
    tables = [table.model_copy(update={"reference": None}) for table in record.suite.tables]
    suite = record.suite.model_copy(update={"tables": tables})
    return resolve(suite, registry, device=where, precision=dtype, threads=threads, limit=record.limit)


def setup_of(resolved: ResolvedSuite) -> dict[str, Any]:
    """Return what the last bits of a result depend on, besides code and data: libraries, device, processor."""
    from ..executors.hardware import processor

    return {**resolved.environment.to_json(), "processor": processor(resolved.environment.device),
            "system": platform.system()}  # fmt: skip


def claimed_jobs(resolved: ResolvedSuite, record: RunRecord, rows: Sequence[RowSet]) -> list[ClaimedJob]:
    """Return the jobs of a run with what it claims of each.

    Args:
        resolved: The run's suite, with the images that are here.
        record: The run's record.
        rows: The run's rows.
    """
    assert resolved.images is not None
    selection = Selection(tuple(record.images.indices), tuple(record.images.ids))
    whole = classifies_all(resolved)
    clean = clean_jobs(resolved) if whole else clean_jobs(resolved, selection)
    labels = complete_labels(resolved.suite, partial(is_white_box, resolved))
    sets = {(row.metric, row.labels, row.images.over): row for row in rows}
    everywhere = {index: index for index in range(len(resolved.images.ids))}
    here = {index: position for position, index in enumerate(selection.indices)}

    def claim(jobs: Sequence[PlannedJob], over: Over, listed: dict[int, int]) -> Iterator[ClaimedJob]:
        places: dict[int, dict[int, int]] = {}
        for planned in jobs:
            cells = []
            for cell in planned.cells:
                if cell.metric == KEPT:
                    continue
                key = cell.metric, labels(planned, cell)
                row = sets.get((*key, over))
                arrays = None if row is None or row.void else _part(row, planned, listed, places)
                cells.append(ClaimedCell(cell, key[1], arrays, row.void if row else None))
            kept = tuple(cell.cell for cell in cells)
            yield ClaimedJob(replace(planned, cells=kept), tuple(cells), over)

    return [*claim(clean, "all", everywhere), *claim(selected_jobs(resolved, selection), "selected", here)]


def unplanned_faults(jobs: Sequence[ClaimedJob], rows: Sequence[RowSet]) -> list[Fault]:
    """Find sets of rows that no job of the plan gives: nothing would recompute them, but they would be scored."""
    planned = {(cell.cell.metric, cell.labels, job.over) for job in jobs for cell in job.cells}
    return [
        Fault("rows.safetensors", shown_set(row), "no job of the suite gives these rows")
        for row in rows
        if (row.metric, row.labels, row.images.over) not in planned
    ]


def shown_set(row: RowSet) -> str:
    """Return the metric and the labels of a set of rows as text."""
    return " ".join([str(row.metric), *(f"{name}={value}" for name, value in row.labels.items())])


def _part(
    row: RowSet, planned: PlannedJob, listed: dict[int, int], places: dict[int, dict[int, int]]
) -> dict[str, NDArray[Any]] | None:
    """Return the rows of a job's images; None if the set lacks one of them."""
    if id(row) not in places:
        places[id(row)] = {int(image): at for at, image in enumerate(row.images.indices)}
    at = [places[id(row)].get(listed[index]) for index in planned.job.batch.indices]
    if any(place is None for place in at):
        return None
    chosen = np.array(at, dtype=np.intp)
    return {name: array[chosen] for name, array in row.arrays.items()}


def selection_fault(resolved: ResolvedSuite, record: RunRecord, rows: Sequence[RowSet]) -> Fault | str | None:
    """Find whether a run attacks the images that its suite selects, by the predictions that it claims.

    Returns:
        A fault if it attacks others, a text if that cannot be known, or None.
    """
    assert resolved.images is not None
    if not (classifies_all(resolved) or needs_no_predictions(resolved)):
        return "the choice of the images is not checked, because the run has not classified the whole dataset"
    total, predictions = len(resolved.images.labels), dict[str, list[int]]()
    for row in rows:
        target = row.labels.target
        if row.metric == PREDICTED and target and len(row.images) == total and not row.void:
            predictions[target] = row.arrays["predicted"][np.argsort(row.images.indices)].tolist()
    lacking = [model for model in resolved.suite.choosing_models if model not in predictions]
    if lacking:
        return f"the choice of the images is not checked, because predictions of {lacking[0]} are missing"
    if not predictions and not needs_no_predictions(resolved):
        predictions = {"": [0] * total}  # the rule admits every image, whatever it is classified as
    found = admitted(resolved, predictions)[: resolved.count]
    if list(record.images.indices) == found[: len(record.images.indices)]:
        return None
    return Fault("run.json", "images.indices", "are not the images that the suite selects by the run's own predictions")
