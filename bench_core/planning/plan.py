"""A plan: the jobs of a run, and which of their cells the store has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..reserved import PREDICTED
from ..store import Store
from .dataset_share import classifies_all
from .jobs import Cell, PlannedJob
from .planner import clean_jobs, look_jobs, selected_jobs
from .resolve import ResolvedSuite
from .selection import Selection, first_images, look, select, selection_of, suffices

CellRows = dict[str, dict[str, dict[str, NDArray[Any]]]]  # address -> cell -> row -> array


@dataclass(frozen=True)
class Plan:
    """All jobs of a run, and which of their cells are in the store.

    Attributes:
        selection: The images to attack; None until the clean images are classified.
        stored: The keys of the cells in the store, by address.
    """

    resolved: ResolvedSuite
    selection: Selection | None
    jobs: list[PlannedJob]
    stored: Mapping[str, set[str]]

    def missing(self, job: PlannedJob) -> list[Cell]:
        """Return the cells of a job that are missing from the store."""
        return [cell for cell in job.cells if cell.key not in self.stored.get(job.address, ())]

    @property
    def cells(self) -> int:
        return sum(len(job.cells) for job in self.jobs)

    @property
    def cells_stored(self) -> int:
        return self.cells - sum(len(self.missing(job)) for job in self.jobs)


def stored_cells(jobs: Sequence[PlannedJob], store: Store) -> dict[str, set[str]]:
    return {address: store.cells(address) for address in dict.fromkeys(job.address for job in jobs)}


def make_plan(resolved: ResolvedSuite, store: Store) -> Plan:
    """Plan a run against a store. Until the clean predictions are stored, the selection is only of the right size."""
    if resolved.images is None:
        return Plan(resolved, None, [], {})
    if classifies_all(resolved):
        clean = clean_jobs(resolved)
        stored = stored_cells(clean, store)
        predictions = _stored_predictions(clean, stored, store)
        selection = select(resolved, predictions) if suffices(resolved, predictions) else None
    else:
        selection = _looked_at(resolved, store)
        clean = clean_jobs(resolved, selection or first_images(resolved))
        stored = stored_cells(clean, store)
    selected = selected_jobs(resolved, selection or first_images(resolved), estimated=selection is None)
    return Plan(resolved, selection, clean + selected, stored | stored_cells(selected, store))


def _looked_at(resolved: ResolvedSuite, store: Store) -> Selection | None:
    """Return the selection, if the store has the predictions that it needs."""

    def classify(model: str, indices: Sequence[int]) -> dict[int, int] | None:
        jobs = look_jobs(resolved, model, indices)
        rows = {job.address: store.get(job.address) for job in jobs}
        known = all(cell.key in rows[job.address] for job, cell in _predictions(jobs))
        return predicted_classes(jobs, rows) if known else None

    found = look(resolved, classify)
    return selection_of(resolved, found, {}) if found else None


def predicted_classes(jobs: Sequence[PlannedJob], rows: CellRows) -> dict[int, int]:
    """Return the class that the model of some jobs predicts for each of their images, by its position."""
    return {
        index: int(predicted)
        for job, cell in _predictions(jobs)
        for index, predicted in zip(job.job.batch.indices, rows[job.address][cell.key]["predicted"], strict=True)
    }


def blocks_of(jobs: Sequence[PlannedJob]) -> list[list[PlannedJob]]:
    """Return the jobs over the dataset by their images, in the dataset's order."""
    blocks = defaultdict[int, list[PlannedJob]](list)
    for job in jobs:
        blocks[job.round].append(job)
    return [blocks[number] for number in sorted(blocks)]


def _stored_predictions(
    clean: Sequence[PlannedJob], stored: Mapping[str, set[str]], store: Store
) -> dict[str, list[int]]:
    """Return the stored predictions of all models, as far as there are those of every image from the first on."""
    jobs, found = list[PlannedJob](), CellRows()
    for block in blocks_of(clean):
        if not all(cell.key in stored[job.address] for job, cell in _predictions(block)):
            break
        rows = {job.address: store.get(job.address) for job in block}
        if not all(cell.key in rows[job.address] for job, cell in _predictions(block)):
            break  # an entry of the store is damaged
        jobs, found = [*jobs, *block], {**found, **rows}
    return predictions_of(jobs, found)


def _predictions(jobs: Sequence[PlannedJob]) -> list[tuple[PlannedJob, Cell]]:
    return [(job, cell) for job in jobs for cell in job.cells if cell.metric == PREDICTED]


def predictions_of(jobs: Sequence[PlannedJob], found: CellRows) -> dict[str, list[int]]:
    """Return the class that each model predicts for every image of the jobs, by the model's label."""
    predictions: dict[str, list[int]] = {}
    for job, cell in _predictions(jobs):
        if cell.target:
            predictions.setdefault(cell.target, []).extend(found[job.address][cell.key]["predicted"].tolist())
    return predictions
