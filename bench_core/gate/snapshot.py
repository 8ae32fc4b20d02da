"""What a gate compares: the per-image outcomes of a run's gated scores, and all that they may depend on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..digests import digest
from ..errors import Fault, UsageError
from ..registry import Registry
from ..reserved import PREDICTED
from ..result import Result, load_result
from ..scores.summarise import LabelledScore
from ..suite.model import Suite
from ..suite.outputs import GateTable
from ..types import Json

THREAT = ("budgets", "loss", "random_start", "targeted", "quantise")
SHOWN_ONLY = ("name", "file", "profile", "overrides", "title", "tables", "plots", "gate", "correlations")
WHOLE = "dataset"
DIGITS = 4  # that a baseline keeps of values other than 0 and 1
ID_DIGITS = 16  # and of an image's digest
Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class GatedScore:
    """One score, image by image: `values` float [n], of the images `ids`; or why there are none.

    The ids are digests of images, or, for a score over the whole dataset, places in it.
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
    def binary(self) -> bool:
        return bool(np.isin(self.values, (0, 1)).all())


@dataclass(frozen=True)
class Snapshot:
    """A run, or a baseline, as a gate sees it.

    `fingerprint` says what the outcomes follow from: two snapshots with equal ones must have equal outcomes. `rounded`
    tells that values other than 0 and 1 have four digits, as a baseline keeps them; `made_with` has the `limit` and the
    `overrides` that make the run again.
    """

    name: str
    suite: str
    profile: str
    gate: Mapping[str, GateTable]
    threat: Json
    fingerprint: Json
    ids: tuple[str, ...]
    dataset: Json
    scores: tuple[GatedScore, ...]
    rounded: bool = False
    made_with: Json = field(default_factory=dict)


def default_gate(suite: Suite) -> dict[str, GateTable]:
    """Give a suite's `[gate]`; without one, every score of a table that marks its best must not get worse."""
    if suite.gate:
        return dict(suite.gate)
    better = {"max": "higher", "min": "lower"}
    return {t.value: GateTable(better=better[t.best]) for t in suite.tables if t.best}  # type: ignore[arg-type]


def run_folder(path: Path) -> Path:
    """Give the folder of a run from itself or from a file in it."""
    return path.parent if path.is_file() and path.name in ("run.json", "rows.safetensors", "scores.jsonl") else path


def read_facts(folder: Path) -> dict[str, Any]:
    """Read what a run's folder says of itself. Raises UsageError where it is none."""
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not isinstance(facts.get("suite"), dict):
            raise ValueError
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise UsageError(Fault(str(path), "", f"not the record of a run ({reason})")) from None
    if "dataset" not in facts:
        raise UsageError(Fault(str(path), "dataset", "missing: written by an older bench; run the suite again"))
    return facts


def fingerprint(facts: Json) -> dict[str, str]:
    """Give everything that outcomes may depend on: machine, libraries, code, networks, and the suite that was run.

    What is no short word, or tells one computer from another, stands there as a digest.
    """
    computed = {key: value for key, value in facts["suite"].items() if key not in SHOWN_ONLY}
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
    """Give a snapshot as a baseline keeps it: short digests of images, and values of four digits."""
    scores = tuple(
        replace(each, ids=_short(each.ids), values=each.values if each.binary else rounded_values(each.values))
        for each in snapshot.scores
    )
    return replace(snapshot, ids=_short(snapshot.ids), scores=scores, rounded=True)


def _short(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(each if each.startswith(f"{WHOLE}:") else each[:ID_DIGITS] for each in ids)


def rounded_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([float(f"{value:.{DIGITS}g}") for value in values], dtype=np.float64)


def snapshot_of_run(path: Path, registry: Registry | None = None, name: str | None = None) -> Snapshot:
    """Read a run's folder as a snapshot. Raises UsageError where it gates nothing, or is no run."""
    folder = run_folder(path)
    facts = read_facts(folder)
    result = load_result(folder, registry)
    suite = result.suite
    gate = default_gate(suite)
    if not gate:
        message = 'nothing is gated: give [gate] lines, "transfer.success" = { better = "higher" }'
        raise UsageError(Fault(suite.file, "gate", message))
    ids = tuple(facts["images"]["ids"])
    seen = _Images(ids, facts["dataset"], _right(result, facts))
    labels = {value.partition(".")[0] for value in gate}
    scores = tuple(
        _gated(each, seen, suite) for each in result.scores
        if each.metric in gate or (each.void and each.metric in labels)
    )  # fmt: skip
    threat = {key: facts["suite"][key] for key in THREAT}
    made_with = {"limit": facts["limit"], "overrides": facts["suite"]["overrides"]}
    return Snapshot(
        name or str(path), suite.name, suite.profile, gate, threat, fingerprint(facts), ids, facts["dataset"], scores,
        made_with=made_with,
    )  # fmt: skip


@dataclass(frozen=True)
class _Images:
    selected: tuple[str, ...]
    dataset: Json
    right: Mapping[str, NDArray[np.bool_]]

    def of(self, count: int, target: str | None) -> tuple[str, ...] | None:
        """Tell which images a score with so many values is of; None where it is of neither kind."""
        if target is not None and target in self.right and count == int(self.right[target].sum()):
            return tuple(np.array(self.selected)[self.right[target]].tolist())
        if count == len(self.selected):
            return self.selected
        if count == self.dataset["count"]:
            return tuple(whole_id(self.dataset, place) for place in range(count))
        return None


def whole_id(dataset: Json, place: int) -> str:
    """Name an image of a score over the whole dataset, whose order is part of what it is."""
    return f"{WHOLE}:{dataset['digest'][:ID_DIGITS]}:{place}"


def _right(result: Result, facts: Json) -> dict[str, NDArray[np.bool_]]:
    """Tell which selected images each target is judged on, where a suite judges it on those it classifies correctly."""
    if result.suite.images.rule != "correct_by_target":
        return {}
    selected, truth = facts["images"]["indices"], np.asarray(facts["truth"])
    return {
        each.labels["target"]: each.arrays["predicted"][selected] == truth
        for each in result.rows
        if each.metric == PREDICTED and not each.void
    }


def _gated(each: LabelledScore, images: _Images, suite: Suite) -> GatedScore:
    labels = {name: str(value) for name, value in each.labels.items()}
    if each.void:
        return GatedScore(each.metric, labels, np.empty(0), (), each.void)
    values = each.score.per_image
    ids = None if values is None else images.of(len(values), labels.get("target"))
    if values is None or ids is None:
        message = "has no outcome for each image, so that no two runs of it can be paired (gate another score)"
        raise UsageError(Fault(suite.file, f"gate.{each.metric}", message))
    if not np.isfinite(values).all():
        return GatedScore(each.metric, labels, np.empty(0), (), "not every image has a finite value")
    return GatedScore(each.metric, labels, np.asarray(values, dtype=np.float64), ids)
