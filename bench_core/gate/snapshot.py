"""What a gate compares: the per-image outcomes of a run's gated scores, and everything that they may depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..digests import digest
from ..errors import Fault, UsageError
from ..registry import Registry
from ..runs.folder import run_folder
from ..runs.load import load_result
from ..runs.record import RunRecord, read_record
from ..scores.images import ImageSet, Unpairable
from ..scores.scored import LabelledScore, covers
from ..suite.model import Suite
from ..suite.outputs import GateEntry
from ..types import Json

THREAT = ("budgets", "loss", "random_start", "targeted", "quantise")
NOT_COMPUTED = ("name", "file", "profile", "overrides", "title", "tables", "plots", "gate", "correlations")
WHOLE = "dataset"
DIGITS = 4  # that a baseline keeps of values other than 0 and 1
ID_DIGITS = 16  # that a baseline keeps of an image's digest
Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class GatedScore:
    """One score, image by image.

    Attributes:
        metric: The score's name, METRIC.SCORE.
        labels: The score's labels.
        values: float [n].
        ids: The images [n]: their digests, or for a score over the whole dataset their places in it (`whole_id`).
        void: The reason where there are no values.
    """

    metric: str
    labels: Mapping[str, str]
    values: NDArray[np.float64]
    ids: tuple[str, ...]
    void: str | None = None

    @property
    def key(self) -> Key:
        return self.metric, tuple(sorted(self.labels.items()))

    @property
    def name(self) -> str:
        return " ".join([self.metric, *(f"{name}={value}" for name, value in self.labels.items())])

    @property
    def binary(self) -> bool:
        return bool(np.isin(self.values, (0, 1)).all())


@dataclass(frozen=True)
class Snapshot:
    """A run or a baseline as the gate reads it.

    Attributes:
        name: The run's folder, or the baseline's name.
        suite: The suite's name.
        profile: The profile.
        gate: The gated scores.
        threat: The budgets and the other keys that define the threat.
        fingerprint: What the outcomes follow from: snapshots with equal fingerprints must have equal outcomes.
        ids: The digests of the attacked images.
        dataset: Count and digest of the dataset.
        scores: The gated scores.
        rounded: Whether values other than 0 and 1 have four digits, as in a baseline.
        made_with: The `limit` and the `overrides` that make the run again.
    """

    name: str
    suite: str
    profile: str
    gate: Mapping[str, GateEntry]
    threat: Json
    fingerprint: Json
    ids: tuple[str, ...]
    dataset: Json
    scores: tuple[GatedScore, ...]
    rounded: bool = False
    made_with: Json = field(default_factory=dict)


def default_gate(suite: Suite) -> dict[str, GateEntry]:
    """Return a suite's `[gate]`; by default, no score of a table that marks its best may get worse."""
    if suite.gate:
        return dict(suite.gate)
    better = {"max": "higher", "min": "lower"}
    return {t.value: GateEntry(better=better[t.best]) for t in suite.tables if t.best}  # type: ignore[arg-type]


def fingerprint(record: RunRecord) -> dict[str, str]:
    """Return everything that outcomes may depend on: machine, libraries, code, networks, and the suite that was run.

    A value that is long, or that identifies one computer, is replaced by its digest.
    """
    facts = record.model_dump(mode="json")
    computed = {key: value for key, value in facts["suite"].items() if key not in NOT_COMPUTED}
    everything = {
        **{f"environment.{key}": value for key, value in facts["environment"].items()},
        **{f"versions.{key}": value for key, value in facts["versions"].items()},
        **{f"models.{key}": value for key, value in facts["models"].items()},
        **{f"suite.{key}": value for key, value in computed.items()},
        "host code": facts["host"],
        "plugins' code": facts["plugins"],
        "dataset": facts["dataset"],
    }
    return {key: _word(key, value) for key, value in everything.items()}


def _word(key: str, value: Any) -> str:
    plain = isinstance(value, str) and len(value) <= 32 and key != "environment.processor"
    return value if plain else digest(value)[:ID_DIGITS]


def shortened(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot as a baseline keeps it: short digests of images, and values of four digits."""
    scores = tuple(
        replace(score, ids=_short(score.ids), values=score.values if score.binary else rounded_values(score.values))
        for score in snapshot.scores
    )
    return replace(snapshot, ids=_short(snapshot.ids), scores=scores, rounded=True)


def _short(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(image if image.startswith(f"{WHOLE}:") else image[:ID_DIGITS] for image in ids)


def rounded_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([float(f"{value:.{DIGITS}g}") for value in values], dtype=np.float64)


def snapshot_of_run(path: Path, registry: Registry | None = None, name: str | None = None) -> Snapshot:
    """Read a run's folder as a snapshot. Raises UsageError where it gates nothing, or is not a run's."""
    folder = run_folder(path)
    record, result = read_record(folder), load_result(folder, registry)
    suite = result.suite
    gate = default_gate(suite)
    if not gate:
        message = 'nothing is gated: give [gate] lines, "transfer.success" = { better = "higher" }'
        raise UsageError(Fault(suite.file, "gate", message))
    scores = tuple(
        gated_score(score, record) for score in result.scores if any(covers(score.metric, value) for value in gate)
    )
    given = record.suite.model_dump(mode="json")
    return Snapshot(
        name or str(path), suite.name, suite.profile, gate, {key: given[key] for key in THREAT}, fingerprint(record),
        tuple(record.images.ids), record.dataset.model_dump(), scores,
        made_with={"limit": record.limit, "overrides": given["overrides"]},
    )  # fmt: skip


def image_ids(images: ImageSet, record: RunRecord) -> tuple[str, ...]:
    """Return the names of images that are valid across runs."""
    if images.over == "selected":
        return tuple(record.images.ids[index] for index in images.indices)
    dataset = record.dataset.model_dump()
    return tuple(whole_id(dataset, int(index)) for index in images.indices)


def whole_id(dataset: Json, place: int) -> str:
    """Return the name of an image of a score over the whole dataset, whose order is part of its digest."""
    return f"{WHOLE}:{dataset['digest'][:ID_DIGITS]}:{place}"


def gated_score(score: LabelledScore, record: RunRecord) -> GatedScore:
    labels = {name: str(value) for name, value in score.labels.items()}
    if score.void:
        return GatedScore(score.metric, labels, np.empty(0), (), score.void)
    try:
        series = score.per_image
    except Unpairable as error:
        message = f"{error}, so that two runs of it cannot be paired (gate another score)"
        raise UsageError(Fault(record.suite.file, f"gate.{score.metric}", message)) from None
    if len(series.values) == 0:
        return GatedScore(score.metric, labels, np.empty(0), (), "no image is counted")
    if not np.isfinite(series.values).all():
        return GatedScore(score.metric, labels, np.empty(0), (), "not every image has a finite value")
    return GatedScore(score.metric, labels, series.values, image_ids(series.images, record))
