"""Stored rows -> labelled scores with intervals. Pure arithmetic: no network, no torch."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from ..errors import Fault, UsageError
from ..planning.jobs import PlannedJob
from ..reserved import EXAMINED, PREDICTED, RECORD, RECORD_SCORES
from ..statistics import mean, proportion
from ..types import Metric, Score


@dataclass
class RowSet:
    """All per-image rows of one metric under one set of labels, in the order of the images; or why there are none."""

    metric: str
    labels: dict[str, str]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    void: str | None = None


@dataclass(frozen=True)
class LabelledScore:
    """A score with everything that says which one it is; `void` is the reason where there is no value.

    `unit` is what the score's n counts.
    """

    metric: str
    labels: Mapping[str, Any]
    score: Score
    void: str | None = None
    unit: str = "images"

    def record(self) -> dict[str, Any]:
        """Give it as one flat JSON record, without the per-image values."""
        numbers = {"value": self.score.value, "low": self.score.low, "high": self.score.high}
        finite = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
        return {"metric": self.metric, **self.labels, **finite, "n": self.score.n, "void": self.void}


def gather(
    jobs: Iterable[PlannedJob],
    found: Mapping[str, Mapping[str, Mapping[str, NDArray[Any]]]],
    voids: Mapping[tuple[str, str], str],
) -> list[RowSet]:
    """Join the cells of all micro-batches, in the order of the jobs. A set with a void part is void as a whole."""
    parts: dict[tuple[str, tuple[tuple[str, str], ...]], list[Mapping[str, NDArray[Any]]]] = defaultdict(list)
    reasons: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
    for job in jobs:
        for cell in job.cells:
            labels = {**job.labels, **({"target": cell.target} if cell.target else {})}
            key = cell.metric, tuple(labels.items())
            arrays = found.get(job.address, {}).get(cell.key)
            if arrays is None:
                reasons.setdefault(key, voids.get((job.address, cell.key), "not computed"))
            else:
                parts[key].append(arrays)
    rows = []
    for key in dict.fromkeys([*parts, *reasons]):
        metric, labels_of = key
        joined = (
            {name: np.concatenate([part[name] for part in parts[key]]) for name in parts[key][0]}
            if key in parts
            else {}
        )
        rows.append(RowSet(metric, dict(labels_of), {} if key in reasons else joined, reasons.get(key)))
    return rows


def pack_rows(rows: Sequence[RowSet]) -> bytes:
    """Make one safetensors file of all rows, its index in the header, for a run's folder."""
    index = [{"metric": each.metric, "labels": each.labels, "void": each.void} for each in rows]
    arrays = {f"{place}/{name}": array for place, each in enumerate(rows) for name, array in each.arrays.items()}
    return save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, metadata={"index": json.dumps(index)})


def unpack_rows(path: str) -> list[RowSet]:
    """Read the file of `pack_rows`. Raises UsageError where it is missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            rows = [RowSet(**each) for each in json.loads(file.metadata()["index"])]
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                place, _, name = key.partition("/")
                rows[int(place)].arrays[name] = file.get_tensor(key)
    except Exception as error:
        raise UsageError(Fault(path, "", f"cannot read the rows: {error} (run the suite again)")) from None
    return rows


def summarise(
    rows: Sequence[RowSet], metrics: Mapping[str, Metric], rule: str, selected: Sequence[int], truth: Sequence[int]
) -> list[LabelledScore]:
    """Have every metric summarise its rows. `selected` are the places of the attacked images in the dataset, `truth`
    the classes of those.

    Under the rule `correct_by_target` a target is judged only on the selected images that it classifies correctly.
    """
    right = {
        each.labels["target"]: each.arrays["predicted"][list(selected)] == np.asarray(truth)
        for each in rows
        if each.metric == PREDICTED and not each.void
    }
    scores = []
    for each in rows:
        if each.metric in (PREDICTED, EXAMINED):
            continue
        if each.void:
            scores.append(
                LabelledScore(each.metric, each.labels, Score("", math.nan, math.nan, math.nan, 0), each.void)
            )
            continue
        arrays = each.arrays
        if rule == "correct_by_target" and "attack" in each.labels and "target" in each.labels:
            counted = right[each.labels["target"]]
            arrays = {name: array[counted] for name, array in arrays.items()}
        if each.metric == RECORD:
            made: Iterable[Score] = (
                (proportion if arrays[name].dtype == bool else mean)(name, arrays[name])
                for name in RECORD_SCORES
                if name in arrays
            )
        else:
            made = metrics[each.metric].summarise(arrays)
        for score in made:
            scores.append(LabelledScore(f"{each.metric}.{score.name}", {**each.labels, **score.labels}, score))
    return scores
