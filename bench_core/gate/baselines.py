"""Baselines: snapshots as small files that are committed and reviewed in a diff, with the outcome of every image.

A file has one line for each score. Outcomes of 0 or 1 are stored as the number of successes and as a bit mask in
hexadecimal, four images per digit; other values with four significant digits each. The file contains a digest of its
content, so that only `bench baseline update` can change it, which records the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..digests import digest
from ..errors import Fault, UsageError, did_you_mean
from ..files import safe_name
from ..registry import Registry
from ..runs.folder import RECORD_FILE
from ..store import write_atomically
from ..suite.outputs import GateEntry
from ..types import Json
from .snapshot import DIGITS, WHOLE_DATASET, GatedScore, Snapshot, dataset_image_id, shortened, snapshot_of_run

FORMAT = 1
PREFIX = "baseline:"
IDS_PER_LINE = 6


def snapshot(name: str, folder: Path, registry: Registry | None = None) -> Snapshot:
    """Read the run or baseline that a command line names.

    Args:
        name: `baseline:NAME`, a baseline file, the folder of a run, or a file in it.
        folder: The folder of the baselines.
        registry: The installed plugins; they are discovered by default.

    Raises:
        UsageError: There is no such run or baseline, or it cannot be read.
    """
    if name.startswith(PREFIX):
        return load_baseline(find_baseline(name.removeprefix(PREFIX), folder))
    path = Path(name)
    if path.is_file() and path.suffix == ".json" and path.name != RECORD_FILE:
        return load_baseline(path)
    return snapshot_of_run(path, registry)


def baseline_files(folder: Path) -> dict[str, Path]:
    """Return the baseline files of a folder by name."""
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def find_baseline(name: str, folder: Path) -> Path:
    """Return the file of the baseline `name` in `folder`. Raises UsageError with the nearest name if it is unknown."""
    known = baseline_files(folder)
    if safe_name(name) not in known:
        raise UsageError(Fault(str(folder), "", f'no baseline "{name}" {did_you_mean(name, known)}'))
    return known[safe_name(name)]


def save_baseline(run: Snapshot, path: Path, history: Sequence[str]) -> None:
    """Write a run's outcomes as a baseline.

    Args:
        run: The run.
        path: The file to write.
        history: The reasons of the baseline's changes, oldest first.

    Raises:
        UsageError: A gated score is void.
    """
    voids = [f"{score.metric}: {score.void}" for score in run.scores if score.void]
    if voids:
        raise UsageError(Fault(run.name, "", f"cannot be a baseline: {len(voids)} scores are void: {voids[0]}"))
    kept = shortened(replace(run, scores=tuple(score for score in run.scores if score.metric in run.gate)))
    record = {
        "format": FORMAT,
        "history": list(history),
        "suite": kept.suite,
        "profile": kept.profile,
        "made_with": kept.made_with,
        "gate": {name: gate.model_dump(exclude_none=True) for name, gate in kept.gate.items()},
        "threat": kept.threat,
        "fingerprint": dict(sorted(kept.fingerprint.items())),
        "dataset": kept.dataset,
        "images": [" ".join(kept.ids[i : i + IDS_PER_LINE]) for i in range(0, len(kept.ids), IDS_PER_LINE)],
        "scores": [_packed(score, kept) for score in kept.scores],
    }
    write_atomically(path, _text({**record, "digest": digest(record)}).encode())


def _text(record: Mapping[str, Any]) -> str:
    """Return JSON with one line for each group of images, each score and each entry of a table."""
    lines = []
    for key, value in record.items():
        if isinstance(value, list) and value:
            inner = ",\n  ".join(json.dumps(entry) for entry in value)
            lines.append(f" {json.dumps(key)}: [\n  {inner}\n ]")
        elif isinstance(value, dict) and value:
            inner = ",\n  ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f" {json.dumps(key)}: {{\n  {inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _packed(score: GatedScore, run: Snapshot) -> dict[str, Any]:
    """Return the line of a score. Its images are stored only if they differ from the run's selected images."""
    record: dict[str, Any] = {"score": score.metric, **{f"_{name}": value for name, value in score.labels.items()}}
    if score.ids[:1] and score.ids[0].startswith(f"{WHOLE_DATASET}:"):
        dataset_ids = _dataset_ids(run.dataset)
        subset = "" if score.ids == dataset_ids else f":{_to_hex(np.isin(dataset_ids, score.ids))}"
        record["images"] = f"{WHOLE_DATASET}{subset}"
    elif score.ids != run.ids:
        record["images"] = _to_hex(np.isin(run.ids, score.ids))
    if score.binary:
        outcomes = score.values.astype(bool)
        return {**record, "is": f"{int(outcomes.sum())}/{len(outcomes)}", "outcomes": _to_hex(outcomes)}
    return {**record, "n": len(score.values), "values": " ".join(f"{value:.{DIGITS}g}" for value in score.values)}


def _dataset_ids(dataset: Json) -> tuple[str, ...]:
    return tuple(dataset_image_id(dataset, position) for position in range(dataset["count"]))


def _to_hex(outcomes: Any) -> str:
    return np.packbits(np.asarray(outcomes, dtype=bool)).tobytes().hex()


def _from_hex(text: str, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8), count=count).astype(bool)


def load_baseline(path: Path) -> Snapshot:
    """Read a baseline. Raises UsageError where it is damaged or was edited by hand."""
    record = read_baseline(path)
    try:
        ids = tuple(image for line in record["images"] for image in line.split())
        dataset = record["dataset"]
        dataset_ids = _dataset_ids(dataset)
        gate = {name: GateEntry(**entry) for name, entry in record["gate"].items()}
        scores = tuple(_unpacked(score, ids, dataset_ids) for score in record["scores"])
        return Snapshot(
            f"{PREFIX}{path.stem}", record["suite"], record["profile"], gate, record["threat"], record["fingerprint"],
            ids, dataset, scores, rounded=True, made_with=record["made_with"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(Fault(str(path), "", f"not a baseline ({type(error).__name__}: {error})")) from None


def read_baseline(path: Path) -> dict[str, Any]:
    """Read a baseline's file. Raises UsageError if its format or its digest is wrong."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise ValueError(f"not a baseline of format {FORMAT}")
    except (OSError, ValueError) as error:
        raise UsageError(Fault(str(path), "", f"cannot read: {getattr(error, 'strerror', None) or error}")) from None
    stored = record.pop("digest", None)
    if stored != digest(record):
        message = 'was not written by bench: its digest differs (use: bench baseline update --reason "...")'
        raise UsageError(Fault(str(path), "digest", message))
    return record


def read_history(path: Path) -> list[str]:
    """Return the reasons of a baseline's changes, oldest first."""
    return [str(reason) for reason in read_baseline(path).get("history", [])]


def _unpacked(record: Mapping[str, Any], selected: tuple[str, ...], dataset_ids: tuple[str, ...]) -> GatedScore:
    """Return the score of a line; the inverse of `_packed`."""
    labels = {name[1:]: value for name, value in record.items() if name.startswith("_")}
    images = str(record.get("images", ""))
    ids = dataset_ids if images.startswith(WHOLE_DATASET) else selected
    subset = images.removeprefix(WHOLE_DATASET).removeprefix(":")
    if subset:
        ids = tuple(image for image, counted in zip(ids, _from_hex(subset, len(ids)), strict=True) if counted)
    if "outcomes" in record:
        values = _from_hex(record["outcomes"], len(ids)).astype(np.float64)
    else:
        values = np.array([float(value) for value in record["values"].split()])
    if len(values) != len(ids):
        raise ValueError(f"{record['score']} has {len(values)} values for {len(ids)} images")
    return GatedScore(record["score"], labels, values, ids)
