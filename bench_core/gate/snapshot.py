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
NOT_IN_FINGERPRINT = (
    "name", "file", "profile", "overrides", "title", "tables", "plots", "gate", "correlations", "decide", "keep",
)  # fmt: skip
OWN = "adversarial-bench"
WHOLE_DATASET = "dataset"
DIGITS = 4  # significant digits in a baseline of values other than 0 and 1
ID_DIGITS = 16  # digits in a baseline of the digest of an image
Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class GatedScore:
    """One score, image by image.

    Attributes:
        metric: The score's name, METRIC.SCORE.
        labels: The score's labels.
        values: The score of each image: float [n], empty if the score is void.
        ids: The images [n]: their digests, or for a score over the whole dataset `dataset_image_id`.
        void: The reason why there are no values.
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
        """Whether all values are 0 or 1, so that the score is a proportion of images."""
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
        fingerprint: Everything that determines the outcomes: equal fingerprints must have equal outcomes.
        ids: The digests of the selected images.
        dataset: Count and digest of the dataset.
        scores: The gated scores.
        rounded: Whether values other than 0 and 1 have four significant digits, as in a baseline.
        made_with: The `limit` and the `overrides` with which the run can be repeated.
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


def gate_of(suite: Suite) -> dict[str, GateEntry]:
    """Return a suite's `[gate]`; if it has none, the scores of all tables that set `best`."""
    if suite.gate:
        return dict(suite.gate)
    better = {"max": "higher", "min": "lower"}
    return {table.value: GateEntry(better=better[table.best]) for table in suite.tables if table.best}  # type: ignore[arg-type]


def fingerprint(record: RunRecord) -> dict[str, str]:
    """Return everything that outcomes may depend on: machine, libraries, code, networks, and the suite that was run.

    A value that is long, or that identifies one computer, is replaced by its digest. Versions of bench and of plugins
    are left out where the digest of their code is known: a release of the same code has the same outcomes.
    """
    facts = record.model_dump(mode="json")
    computed = {key: value for key, value in facts["suite"].items() if key not in NOT_IN_FINGERPRINT}
    everything = {
        **{f"environment.{key}": value for key, value in facts["environment"].items()},
        **{f"versions.{key}": value for key, value in facts["versions"].items() if key != OWN},
        **{f"models.{key}": value for key, value in facts["models"].items()},
        **{f"suite.{key}": value for key, value in computed.items()},
        "host code": facts["host"],
        "plugins' code": sorted(map(_without_version, facts["plugins"])),
        "dataset": facts["dataset"],
    }
    return {key: _text_or_digest(key, value) for key, value in everything.items()}


def _without_version(line: str) -> str:
    """Return a line of `RunRecord.plugins` without the version if it has the digest of the plugin's code."""
    parts = line.rsplit(" ", 3)
    return line if len(parts) < 4 or parts[3] == "unknown" else " ".join([parts[0], parts[1], parts[3]])


def _text_or_digest(key: str, value: Any) -> str:
    readable = isinstance(value, str) and len(value) <= 32 and key != "environment.processor"
    return value if readable else digest(value)[:ID_DIGITS]


def shortened(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot as a baseline stores it: with short digests of images and values of four significant digits."""
    scores = tuple(
        replace(score, ids=_short(score.ids), values=score.values if score.binary else rounded_values(score.values))
        for score in snapshot.scores
    )
    return replace(snapshot, ids=_short(snapshot.ids), scores=scores, rounded=True)


def _short(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(image if image.startswith(f"{WHOLE_DATASET}:") else image[:ID_DIGITS] for image in ids)


def rounded_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round values [n] to the significant digits of a baseline."""
    return np.array([float(f"{value:.{DIGITS}g}") for value in values], dtype=np.float64)


def snapshot_of_run(path: Path, registry: Registry | None = None, name: str | None = None) -> Snapshot:
    """Read a run as a snapshot.

    Args:
        path: The run's folder, or a file in it.
        registry: The installed plugins; they are discovered by default.
        name: The snapshot's name; the path by default.

    Raises:
        UsageError: The folder is not a run's, or its suite gates nothing.
    """
    folder = run_folder(path)
    record, result = read_record(folder), load_result(folder, registry)
    suite = result.suite
    gate = gate_of(suite)
    if not gate:
        value = suite.tables[0].value if suite.tables else "transfer.success"
        message = f'nothing is gated (try a section [gate] with the line "{value}" = {{ better = "higher" }})'
        raise UsageError(Fault(suite.file, "gate", message))
    scores = tuple(
        gated_score(score, record) for score in result.scores if any(covers(score.metric, value) for value in gate)
    )
    entries = record.suite.model_dump(mode="json")
    return Snapshot(
        name or str(path), suite.name, suite.profile, gate, {key: entries[key] for key in THREAT}, fingerprint(record),
        tuple(record.images.ids), record.dataset.model_dump(), scores,
        made_with={"limit": record.limit, "overrides": entries["overrides"]},
    )  # fmt: skip


def image_ids(images: ImageSet, record: RunRecord) -> tuple[str, ...]:
    """Return names of the images of a score that are valid across runs.

    Args:
        images: The images.
        record: The run of the score.

    Returns:
        One name for each image, in the order of `images.indices`.
    """
    if images.over == "selected":
        return tuple(record.images.ids[index] for index in images.indices)
    dataset = record.dataset.model_dump()
    return tuple(dataset_image_id(dataset, int(index)) for index in images.indices)


def dataset_image_id(dataset: Json, position: int) -> str:
    """Return a name for the image at a position of a dataset, of which the digest fixes the order."""
    return f"{WHOLE_DATASET}:{dataset['digest'][:ID_DIGITS]}:{position}"


def gated_score(score: LabelledScore, record: RunRecord) -> GatedScore:
    """Return a run's score with its values by image; void if there is no finite value for every image.

    Args:
        score: The score.
        record: The run of the score.

    Raises:
        UsageError: The score has no values by image.
    """
    labels = {name: str(value) for name, value in score.labels.items()}
    if score.void:
        return GatedScore(score.metric, labels, np.empty(0), (), score.void)
    try:
        series = score.per_image
    except Unpairable as error:
        message = f"{error}, so two runs cannot be paired by image (try another score)"
        raise UsageError(Fault(record.suite.file, f"gate.{score.metric}", message)) from None
    if len(series.values) == 0:
        return GatedScore(score.metric, labels, np.empty(0), (), "the score is over no image")
    if not np.isfinite(series.values).all():
        return GatedScore(score.metric, labels, np.empty(0), (), "some images have no finite value")
    return GatedScore(score.metric, labels, series.values, image_ids(series.images, record))
