"""Claimed against recomputed values: what is rounding, what is an outcome, and what the paired test can miss."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from bench_core.planning.plan import CellRows
from bench_core.scores.rows import Arrays
from bench_core.submissions.agreement import ChangedCell, PairedRow, changed_cells, paired_rows
from bench_core.submissions.claims import ClaimedJob

from .test_sampling import made_job

VALUES = np.linspace(0, 1, 60).astype(np.float32)


def compared(claimed: Arrays, computed: Arrays) -> tuple[list[ChangedCell], list[PairedRow]]:
    """Compare a job's arrays, of 60 images."""
    job = made_job(0, np.zeros(60, dtype=bool))
    job = replace(job, cells=(replace(job.cells[0], arrays=claimed),))
    results: CellRows = {job.planned.address: {"key": computed}}
    return changed_cells([job], results, {}), paired_rows([job], results, 0.05)


@pytest.mark.parametrize(("shift", "moved"), [(1e-5, 0), (9e-5, 0), (2e-4, 60), (-2e-4, 60)])
def test_a_shift_of_more_than_a_ten_thousandth_of_the_spread_is_no_rounding(shift: float, moved: int) -> None:
    for spread in (1.0, 1e-3, 1e4):
        truth = (VALUES * spread).astype(np.float64)
        (cell,), (row,) = compared({"l2": truth + shift * spread}, {"l2": truth})
        assert cell.outcomes == bool(moved)
        assert cell.what == ("l2 of 60 of 60 images" if moved else "l2 in the last digits")
        assert (row.higher, row.lower) == ((moved, 0) if shift > 0 else (0, moved))
        assert (row.p < 1e-9) == bool(moved)


def test_a_value_that_is_no_number_is_equal_only_to_itself() -> None:
    truth = np.where(np.arange(60) < 5, np.nan, VALUES).astype(np.float32)
    assert compared({"l2": truth.copy()}, {"l2": truth})[0] == []
    (cell,), _ = compared({"l2": np.nan_to_num(truth)}, {"l2": truth})
    assert (cell.what, cell.outcomes, cell.form) == ("l2 of 5 of 60 images", True, False)


def test_infinite_values_are_compared_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    truth = np.where(np.arange(60) < 5, np.inf, VALUES)
    (cell,), (row,) = compared({"l2": np.where(np.arange(60) < 6, np.inf, VALUES)}, {"l2": truth})
    assert (cell.what, cell.outcomes) == ("l2 of 1 of 60 images", True)
    assert (row.higher, row.lower) == (0, 0)
    assert not recwarn.list


def test_rows_of_another_type_or_name_cannot_be_paired() -> None:
    for claimed in ({"l2": VALUES.astype(np.float64)}, {"l2": VALUES[:, None]}, {"l1": VALUES}):
        (cell,), _ = compared(claimed, {"l2": VALUES})
        assert (cell.outcomes, cell.form) == (True, True)


@pytest.mark.parametrize(("kinds", "needed"), [(1, 6), (2, 7)])
def test_what_could_be_missed_is_found_with_95_percent(kinds: int, needed: int) -> None:
    """Without other flips the sign test needs 6 images in one direction: 2 / 2**6 < 5%; and 7, if it is one of two."""
    rows = dict(zip(("fooled", "l2"), (VALUES > 0.5, VALUES), strict=False))
    chosen = {name: rows[name] for name in list(rows)[:kinds]}
    for row in compared(chosen, chosen)[1]:
        assert binom.sf(needed - 1, 60, row.missed) == pytest.approx(0.95, abs=2e-3)


def test_cells_of_one_image_are_one_unit() -> None:
    """One image in two cells, higher in one and lower in the other, favours no direction."""
    job = made_job(0, np.zeros(60, dtype=bool))
    cell = job.cells[0]
    second = replace(cell, cell=replace(cell.cell, key="second"))
    truth = np.arange(60) < 30
    jobs: list[ClaimedJob] = [
        replace(job, cells=(replace(cell, arrays={"fooled": ~truth}), replace(second, arrays={"fooled": truth})))
    ]
    (row,) = paired_rows(jobs, {job.planned.address: {"key": {"fooled": truth}, "second": {"fooled": ~truth}}}, 0.05)
    assert (row.images, row.higher, row.lower, row.p) == (60, 0, 0, 1.0)
