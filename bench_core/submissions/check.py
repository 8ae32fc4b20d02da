"""Validates a submission: what bench would read of it is complete, consistent and follows from its rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import Fault, UsageError, stop_at_faults
from ..registry import Registry
from ..runs.folder import SCORES_FILE
from ..runs.load import load_result
from .claims import ClaimedJob, claimed_jobs, resolve_run, selection_fault, unplanned_faults
from .contents import MOST_FAULTS, Contents, in_one_line_each
from .limits import MOST_RUN_PASSES, UNLIMITED_HINT, work_faults
from .unpack import Unpacked

LONGEST_SCORE = 100_000  # characters of a line
CLOSE = 1e-6  # relative: two machines sum in different orders


@dataclass(frozen=True)
class Checked:
    """What a valid submission has, and what could not be checked here."""

    cells: int
    images: int
    scores: int
    notes: tuple[str, ...]


def check(unpacked: Unpacked, contents: Contents, registry: Registry, limited: bool = True) -> Checked:
    """Check that a submission is a complete run whose scores are those of its rows.

    Args:
        unpacked: The submission.
        contents: What its files say.
        registry: The installed plugins.
        limited: Whether the work that the run asks for is limited (`limits.py`).

    Raises:
        UsageError: with a line for each thing that is wrong.
    """
    try:
        with np.errstate(all="ignore"):  # a stranger's numbers are not worth a warning
            return _check(unpacked, contents, registry, MOST_RUN_PASSES if limited else None)
    except UsageError as error:
        raise in_one_line_each(error, unpacked) from None
    except Exception as error:  # a stranger's file: whatever it makes our code raise is the file's fault
        raise UsageError(Fault(unpacked.name, "", f"damaged: {type(error).__name__}: {str(error)[:200]}")) from None


def _check(unpacked: Unpacked, contents: Contents, registry: Registry, most_passes: int | None) -> Checked:
    record, rows = contents.record, contents.rows
    resolved = resolve_run(record, registry, "cpu")
    notes, cells = list[str](), sum(row.void is None for row in rows)
    if resolved.images is None:
        notes.append(f"complete cells, because the dataset is not here: {resolved.data_missing}")
    else:
        there = list(resolved.images.ids)
        if record.dataset.count != len(there):
            message = f"found {record.dataset.count}, but the dataset here has {len(there)} images"
            raise UsageError(Fault(unpacked.name, "dataset.count", message))
        if max(record.images.indices) >= len(there) or [there[i] for i in record.images.indices] != record.images.ids:
            raise UsageError(Fault(unpacked.name, "images", "are not those of the dataset here"))
        if [int(resolved.images.labels[i]) for i in record.images.indices] != record.truth:
            raise UsageError(Fault(unpacked.name, "truth", "has other classes than the dataset here"))
        jobs = claimed_jobs(resolved, record, rows)
        stop_at_faults(work_faults(resolved, [job.planned for job in jobs], most_passes, "the run", UNLIMITED_HINT))
        chosen = selection_fault(resolved, record, rows)
        stop_at_faults(
            [*_missing(jobs), *unplanned_faults(jobs, rows), *([chosen] if isinstance(chosen, Fault) else [])]
        )
        notes += [chosen] if isinstance(chosen, str) else []
        cells = sum(len(job.cells) for job in jobs)
    planned = record.images.planned or 0
    if planned > len(record.images.ids):
        notes.append(f"{planned - len(record.images.ids)} of {planned} images, which the run did not attack")
    if record.other_runs:
        why = "because these are not in the submission"
        notes.append(f"the distances that other runs reached, {why} ({len(record.other_runs)})")
    result = load_result(unpacked.folder, registry, warn=False)
    expected = json.loads(json.dumps(result.records()))
    lines = _read_scores(unpacked, len(expected))
    stop_at_faults(list(_other_scores(lines, expected)))
    return Checked(cells, len(record.images.ids), len(lines), tuple(notes))


def _missing(jobs: Sequence[ClaimedJob]) -> Iterator[Fault]:
    """Yield a fault for each set of rows of the plan that the submission lacks, in whole or in part."""
    lacking = dict[str, int]()
    for job in jobs:
        for cell in job.cells:
            if cell.arrays is None:
                lacking[f"{cell.name}{': void' if cell.void else ''}"] = lacking.get(cell.name, 0) + 1
    for name in lacking:
        yield Fault("", "cells", f"incomplete: no values of {name}")


def _read_scores(unpacked: Unpacked, most: int) -> list[dict[str, Any]]:
    """Read the scores, at most one more than there should be, since millions of lines would fill the memory."""
    lines = list[dict[str, Any]]()
    with (unpacked.folder / SCORES_FILE).open(encoding="utf-8") as file:
        while len(lines) <= most and (text := file.readline(LONGEST_SCORE)):
            line = json.loads(text) if len(text) < LONGEST_SCORE else None
            if not isinstance(line, dict):
                raise UsageError(Fault(SCORES_FILE, f"line {len(lines) + 1}", "is no score"))
            lines.append(line)
    return lines


def _other_scores(lines: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """Yield a fault for each score of the file that is not the score of the rows."""
    if len(lines) != len(expected):
        found = f"{len(lines):,} scores" if len(lines) < len(expected) else "more scores"
        yield Fault(SCORES_FILE, "", f"has {found}, but the rows give {len(expected):,}")
        return
    shown = 0
    for number, (line, right) in enumerate(zip(lines, expected, strict=True), 1):
        wrong = [name for name in {**line, **right} if not _close(line.get(name), right.get(name))]
        if wrong and shown < MOST_FAULTS:
            shown += 1
            name = wrong[0]
            text = f"{name} is {str(line.get(name))[:40]}, but the rows give {str(right.get(name))[:40]}"
            yield Fault(SCORES_FILE, f"line {number}", f"{right['metric']}: {text}")


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-9)
    return bool(a == b)
