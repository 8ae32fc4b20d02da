"""Compares what a run claims with what was computed again: bit by bit, and by a paired test where it may differ."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..planning.plan import CellRows
from ..scores.paired import holm, mcnemar, smallest_drop
from ..scores.rows import Arrays
from .claims import ClaimedJob

NEGLIGIBLE = 1e-4  # of a row's spread: rounding moves real numbers less, in whatever direction
POWER = 0.95


@dataclass(frozen=True)
class ChangedCell:
    """A cell whose recomputed values are not the claimed ones.

    Attributes:
        name: The metric and the labels.
        batch: The number of its micro-batch, from 0.
        what: What differs, in a few words.
        outcomes: Whether an outcome differs, and not only the rounding of a real number.
        form: Whether names, shapes or types of the rows differ, or there is no result, so that they cannot be paired.
    """

    name: str
    batch: int
    what: str
    outcomes: bool
    form: bool = False


@dataclass(frozen=True)
class PairedRow:
    """The paired test of one of the rows, METRIC.ROW, over all recomputed cells. Its unit is the image.

    Attributes:
        name: METRIC.ROW.
        images: The number of images.
        higher: How many images have higher claimed values in the mean over their cells.
        lower: How many have lower ones.
        p: The exact two-sided p that both are equally likely, with Holm's correction over all rows.
        missed: The largest share of images with values moved in one direction that the test could miss.
    """

    name: str
    images: int
    higher: int
    lower: int
    p: float
    missed: float


def changed_cells(
    sample: Sequence[ClaimedJob], computed: CellRows, reasons: Mapping[tuple[str, str], str]
) -> list[ChangedCell]:
    """Return the cells of a sample that are not, to the bit, as claimed.

    Args:
        sample: The jobs.
        computed: What was computed again.
        reasons: Why cells have no result now.
    """
    changed = []
    for job in sample:
        for cell in job.claimed:
            arrays = computed.get(job.planned.address, {}).get(cell.cell.key)
            if arrays is None:
                reason = reasons.get((job.planned.address, cell.cell.key), "no result")
                changed.append(ChangedCell(cell.name, job.planned.round, f"void here: {reason}", True, form=True))
                continue
            assert cell.arrays is not None
            difference = _difference(cell.arrays, arrays)
            if difference is not None:
                changed.append(ChangedCell(cell.name, job.planned.round, *difference))
    return changed


def _difference(claimed: Arrays, computed: Arrays) -> tuple[str, bool, bool] | None:
    """Return what differs between two sets of rows, whether in outcomes, and whether in their form."""
    if claimed.keys() != computed.keys():
        return f"rows {', '.join(sorted(claimed.keys() ^ computed.keys()))} are in one of the two only", True, True
    texts, outcomes = [], False
    for name, now in computed.items():
        before = claimed[name]
        if before.shape != now.shape or before.dtype != now.dtype:
            return f"{name} has another shape or type", True, True
        if before.tobytes() != now.tobytes():
            moved = _moved(before, now)
            outcomes |= bool(moved.any())
            images = int(moved.reshape(len(moved), -1).any(axis=1).sum())
            texts.append(f"{name} of {images} of {len(now)} images" if images else f"{name} in the last digits")
    return (", ".join(texts), outcomes, False) if texts else None


def _moved(before: NDArray[np.generic], now: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return which values differ by more than rounding."""
    if before.dtype.kind not in "fc":
        return np.asarray(before != now)
    a, b = before.astype(np.float64), now.astype(np.float64)
    finite = b[np.isfinite(b)]
    spread = float(finite.max() - finite.min()) if len(finite) else 0.0
    with np.errstate(invalid="ignore"):
        close = np.isclose(a, b, rtol=1e-6, atol=NEGLIGIBLE * spread, equal_nan=True)
    return ~close


def paired_rows(sample: Iterable[ClaimedJob], computed: CellRows, alpha: float) -> list[PairedRow]:
    """Test for every kind of row whether the claimed values are higher or lower than the recomputed ones.

    The cells of an image are averaged first, because one image is in many cells, which are not independent.

    Args:
        sample: The jobs, with rows of the form of those that were computed.
        computed: What was computed again.
        alpha: The probability of a false alarm, over all rows together.
    """
    moves: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for job in sample:
        for cell in job.claimed:
            now = computed.get(job.planned.address, {}).get(cell.cell.key)
            if now is None or cell.arrays is None or cell.arrays.keys() != now.keys():
                continue
            for name, before in cell.arrays.items():
                if before.dtype.kind not in "biuf" or before.shape != now[name].shape:
                    continue
                row = moves[f"{cell.cell.metric}.{name}"]
                for image, move in zip(job.planned.job.batch.ids, _moves(before, now[name]), strict=True):
                    row[image] += float(move)
    signs = {name: np.sign([*row.values()]) for name, row in sorted(moves.items())}
    counts = {name: (int((sign > 0).sum()), int((sign < 0).sum())) for name, sign in signs.items()}
    p_values = holm([min(1.0, 2 * mcnemar(max(pair), min(pair))) for pair in counts.values()])
    level = alpha / 2 / max(1, len(counts))
    return [
        PairedRow(name, len(signs[name]), *pair, p, _missed(len(signs[name]), sum(pair), level))
        for (name, pair), p in zip(counts.items(), p_values, strict=True)
    ]


def _moves(before: NDArray[np.generic], now: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return by how much the claimed values of each image [n] are higher, in the mean over all else."""
    with np.errstate(invalid="ignore"):
        difference = before.astype(np.float64) - now.astype(np.float64)
    difference = np.where(_moved(before, now) & np.isfinite(difference), difference, 0.0)
    return np.asarray(difference.reshape(len(difference), -1).sum(axis=1))


def _missed(images: int, flips: int, level: float) -> float:
    found = smallest_drop(images, flips, level, 0.0, POWER)
    return 1.0 if math.isnan(found) else found
