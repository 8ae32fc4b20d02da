"""Joins the results of jobs to rows: all per-image arrays of one metric under one set of labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from ..errors import Fault, UsageError, one_line
from ..planning.jobs import Cell, PlannedJob
from ..reserved import KEPT
from ..suite.model import Suite
from .images import ImageSet, Over
from .labels import Labels, Relation

Arrays = Mapping[str, NDArray[Any]]
Computed = Mapping[str, Mapping[str, Arrays]]  # job's address -> cell's key -> name -> array
Voids = Mapping[tuple[str, str], str]  # job's address and cell's key -> reason
Complete = Callable[[PlannedJob, Cell], Labels]


@dataclass(frozen=True)
class RowSet:
    """All per-image rows of one metric under one set of labels, or the reason why there are none.

    Every array has the images of `images` along its first dimension, in their order.
    """

    metric: str
    labels: Labels
    images: ImageSet
    arrays: Arrays = field(default_factory=dict)
    void: str | None = None


def complete_labels(suite: Suite, is_white_box: Callable[[Sequence[str], str], bool]) -> Complete:
    """Return a function that completes the labels of a job's cell: norm, relation, category, and what is swept.

    Args:
        suite: The suite that the jobs are of.
        is_white_box: Returns whether a target is the source with these members, or one of them.
    """
    members = suite.members_by_source

    def complete(job: PlannedJob, cell: Cell) -> Labels:
        given = Labels.of({**job.labels, **({"target": cell.target} if cell.target else {})})
        added: dict[str, Any] = {}
        if given.budget is not None:
            added["norm"] = suite.budgets[given.budget].norm
            added |= suite.budgets[given.budget].swept
        # the source of images that were made elsewhere may be unknown
        if given.source is not None and given.source in members and given.target is not None:
            white = is_white_box(members[given.source], given.target)
            added["relation"] = Relation.WHITE_BOX if white else Relation.BLACK_BOX
        if given.attack in suite.attacks:
            added |= suite.attacks[given.attack].labels
        return Labels.of({**given, **added})

    return complete


def gather(
    jobs: Iterable[PlannedJob], computed: Computed, voids: Voids, complete: Complete, over: Over, listed: Sequence[int]
) -> list[RowSet]:
    """Join the cells of all micro-batches, in the order of the jobs. A row set is void if any of its parts is.

    Args:
        jobs: Jobs over the dataset, or jobs over the selection; not both.
        computed: The computed arrays.
        voids: The reasons of the cells that have none.
        complete: Returns the complete labels of a cell (see `complete_labels`).
        over: Whether the jobs are over the dataset or over the selection.
        listed: The images of the selection, or of the whole dataset, as positions in the dataset. The indices of a
            set's `images` are positions in this list.
    """
    positions = {index: position for position, index in enumerate(listed)}
    joined: dict[tuple[str, Labels], _Joined] = {}
    cells: dict[tuple[int, int], tuple[PlannedJob, list[tuple[Cell, _Joined]]]] = {}
    begun: list[_Joined] = []
    for job in jobs:
        # the jobs of an attack share their labels and cells, so that those are completed once
        place = id(job.labels), id(job.cells)
        if place not in cells:
            keys = [(cell, (cell.metric, complete(job, cell))) for cell in job.cells if cell.metric != KEPT]
            cells[place] = job, [(cell, joined.setdefault(key, _Joined(*key))) for cell, key in keys]
        found, indices = computed.get(job.address, {}), [positions[index] for index in job.job.batch.indices]
        for cell, each in cells[place][1]:
            each.images += indices
            part = found.get(cell.key)
            if part is None:
                each.reason = each.reason or voids.get((job.address, cell.key), "not computed")
                continue
            if not each.parts:
                begun.append(each)
            each.parts.append(part)
    return [each.rows(over) for each in (*begun, *(each for each in joined.values() if not each.parts))]


@dataclass
class _Joined:
    """The parts of a row set, of one micro-batch each, and why one of them is void."""

    metric: str
    labels: Labels
    images: list[int] = field(default_factory=list)
    parts: list[Arrays] = field(default_factory=list)
    reason: str | None = None

    def rows(self, over: Over) -> RowSet:
        if self.reason is None:
            try:
                arrays = {name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]}
                return RowSet(self.metric, self.labels, ImageSet.of(over, self.images), arrays)
            except (KeyError, ValueError) as error:  # a metric whose rows have other names or shapes in another batch
                self.reason = one_line(f"the metric's rows differ between micro-batches: {error}")
        return RowSet(self.metric, self.labels, ImageSet.of(over, []), void=self.reason)


def pack_rows(rows: Sequence[RowSet]) -> bytes:
    """Serialise rows as one safetensors file, with their index in the header."""
    index = [
        {"metric": row.metric, "labels": dict(row.labels), "void": row.void, "over": row.images.over} for row in rows
    ]
    arrays = {f"{number}/{name}": array for number, row in enumerate(rows) for name, array in row.arrays.items()}
    indices = {
        f"{number}/": row.images.indices.astype(np.int32) for number, row in enumerate(rows) if not _first_images(row)
    }
    packed = {name: np.ascontiguousarray(array) for name, array in {**arrays, **indices}.items()}
    return save(packed, metadata={"index": json.dumps(index)})


def _first_images(row: RowSet) -> bool:
    """Return whether the images are the first n of their list, in order. Otherwise their indices are stored too."""
    return np.array_equal(row.images.indices, np.arange(_length(row.arrays)))


def _length(arrays: Arrays) -> int:
    return len(next(iter(arrays.values()))) if arrays else 0


def unpack_rows(path: str) -> list[RowSet]:
    """Read a file that `pack_rows` made. Raises UsageError where it is missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            index = json.loads(file.metadata()["index"])
            arrays: list[dict[str, NDArray[Any]]] = [{} for _ in index]
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                number, _, name = key.partition("/")
                arrays[int(number)][name] = file.get_tensor(key)
        return [_unpacked(entry, named) for entry, named in zip(index, arrays, strict=True)]
    except Exception as error:
        raise UsageError(Fault(path, "", f"cannot read the rows: {error} (run the suite again)")) from None


def _unpacked(entry: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> RowSet:
    indices = arrays.pop("", None)
    images = ImageSet.of(entry["over"], np.arange(_length(arrays)) if indices is None else indices)
    return RowSet(entry["metric"], Labels.of(entry["labels"]), images, arrays, entry["void"])
