"""Baselines: snapshots as small files that are committed and reviewed in a diff, with the outcome of every image.

A file has one line for each score. Outcomes of 0 or 1 are kept as the number of successes and as hexadecimal digits,
four images per digit; other values with four significant digits each. The file contains its own digest, so that only
`bench baseline update` can change it, which records the reason.
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
from ..registry import Registry
from ..runs.folder import RECORD_FILE, safe_name
from ..store import write_atomically
from ..suite.outputs import GateEntry
from ..types import Json
from .snapshot import DIGITS, WHOLE, GatedScore, Snapshot, shortened, snapshot_of_run, whole_id

FORMAT = 1
PREFIX = "baseline:"
IDS_PER_LINE = 6


def snapshot(name: str, folder: Path, registry: Registry | None = None) -> Snapshot:
    """Read the run or baseline that a command line names. Raises UsageError where there is none."""
    if name.startswith(PREFIX):
        return load_baseline(find_baseline(name.removeprefix(PREFIX), folder))
    path = Path(name)
    if path.is_file() and path.suffix == ".json" and path.name != RECORD_FILE:
        return load_baseline(path)
    return snapshot_of_run(path, registry)


def baseline_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def find_baseline(name: str, folder: Path) -> Path:
    """Return a baseline's file. Raises UsageError that suggests the nearest name."""
    known = baseline_files(folder)
    if safe_name(name) not in known:
        raise UsageError(Fault(str(folder), "", f'no baseline "{name}" {did_you_mean(name, known)}'))
    return known[safe_name(name)]


def save_baseline(run: Snapshot, path: Path, history: Sequence[str]) -> None:
    """Write a run's outcomes as a baseline. Raises UsageError where a gated score is void."""
    voids = [f"{score.metric}: {score.void}" for score in run.scores if score.void]
    if voids:
        raise UsageError(Fault(run.name, "", f"cannot be a baseline: {len(voids)} scores are void: {voids[0]}"))
    small = shortened(replace(run, scores=tuple(score for score in run.scores if score.metric in run.gate)))
    record = {
        "format": FORMAT,
        "history": list(history),
        "suite": small.suite,
        "profile": small.profile,
        "made_with": small.made_with,
        "gate": {name: gate.model_dump(exclude_none=True) for name, gate in small.gate.items()},
        "threat": small.threat,
        "fingerprint": dict(sorted(small.fingerprint.items())),
        "dataset": small.dataset,
        "images": [" ".join(small.ids[i : i + IDS_PER_LINE]) for i in range(0, len(small.ids), IDS_PER_LINE)],
        "scores": [_packed(score, small) for score in small.scores],
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
    record: dict[str, Any] = {"score": score.metric, **{f"_{name}": value for name, value in score.labels.items()}}
    if score.ids[:1] and score.ids[0].startswith(f"{WHOLE}:"):
        every = _dataset_ids(run.dataset)
        record["images"] = WHOLE if score.ids == every else f"{WHOLE}:{_hex(np.isin(every, score.ids))}"
    elif score.ids != run.ids:
        record["images"] = _hex(np.isin(run.ids, score.ids))
    if score.binary:
        outcomes = score.values.astype(bool)
        return {**record, "is": f"{int(outcomes.sum())}/{len(outcomes)}", "outcomes": _hex(outcomes)}
    return {**record, "n": len(score.values), "values": " ".join(f"{v:.{DIGITS}g}" for v in score.values)}


def _dataset_ids(dataset: Json) -> tuple[str, ...]:
    return tuple(whole_id(dataset, position) for position in range(dataset["count"]))


def _hex(outcomes: Any) -> str:
    return np.packbits(np.asarray(outcomes, dtype=bool)).tobytes().hex()


def _bits(text: str, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8), count=count).astype(bool)


def load_baseline(path: Path) -> Snapshot:
    """Read a baseline. Raises UsageError where it is damaged or was edited by hand."""
    record = read_baseline(path)
    try:
        ids = tuple(image for line in record["images"] for image in line.split())
        dataset = record["dataset"]
        every = _dataset_ids(dataset)
        gate = {name: GateEntry(**given) for name, given in record["gate"].items()}
        scores = tuple(_unpacked(score, ids, every) for score in record["scores"])
        return Snapshot(
            f"{PREFIX}{path.stem}", record["suite"], record["profile"], gate, record["threat"], record["fingerprint"],
            ids, dataset, scores, rounded=True, made_with=record["made_with"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(Fault(str(path), "", f"not a baseline ({type(error).__name__}: {error})")) from None


def read_baseline(path: Path) -> dict[str, Any]:
    """Read a baseline's file and check its format and digest."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise ValueError(f"not a baseline of format {FORMAT}")
    except (OSError, ValueError) as error:
        raise UsageError(Fault(str(path), "", f"cannot read: {getattr(error, 'strerror', None) or error}")) from None
    found = record.pop("digest", None)
    if found != digest(record):
        message = 'was not written by bench: its digest differs (use: bench baseline update --reason "...")'
        raise UsageError(Fault(str(path), "digest", message))
    return record


def read_history(path: Path) -> list[str]:
    """Return the reasons of a baseline's changes, oldest first."""
    return [str(reason) for reason in read_baseline(path).get("history", [])]


def _unpacked(record: Mapping[str, Any], selected: tuple[str, ...], every: tuple[str, ...]) -> GatedScore:
    labels = {name[1:]: value for name, value in record.items() if name.startswith("_")}
    images = str(record.get("images", ""))
    ids = every if images.startswith(WHOLE) else selected
    subset = images.removeprefix(WHOLE).removeprefix(":")
    if subset:
        ids = tuple(image for image, counted in zip(ids, _bits(subset, len(ids)), strict=True) if counted)
    if "outcomes" in record:
        values = _bits(record["outcomes"], len(ids)).astype(np.float64)
    else:
        values = np.array([float(value) for value in record["values"].split()])
    if len(values) != len(ids):
        raise ValueError(f"{record['score']} has {len(values)} values for {len(ids)} images")
    return GatedScore(record["score"], labels, values, ids)
