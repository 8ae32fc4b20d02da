"""Loads a run's result from its folder, without the suite's file, the dataset or the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import Fault, UsageError, stop_at_faults
from ..registry import Registry, discover
from ..result import Result
from ..scores.rows import RowSet, unpack_rows
from ..suite.decide import DECIDED
from ..suite.model import Suite
from ..types import Metric
from .folder import OTHER_RUNS_FILE, RECORD_FILE, ROWS_FILE, published_file, run_folder
from .record import read_record
from .scoring import score_run


def load_result(folder: Path | str, registry: Registry | None = None, warn: bool = True) -> Result:
    """Read a run's folder and compute its scores and tables again from its rows. Needs neither networks nor torch.

    Args:
        folder: The folder of a run, wherever it was moved to, or one of its main files.
        registry: The installed plugins; they are discovered by default.
        warn: Whether to look for warnings.

    Returns:
        The result.

    Raises:
        UsageError: The folder is not a run's, or a metric of the run is not installed.
    """
    folder = run_folder(Path(folder))
    record = read_record(folder)
    suite = record.suite
    metrics = build_metrics(suite, registry or discover(), str(folder / RECORD_FILE))
    rows = unpack_rows(str(folder / ROWS_FILE))
    check_same_images(folder, rows, len(record.images.ids))
    published = {table.name: _published(folder, table.name) for table in suite.tables if table.reference}
    images = record.images
    result = score_run(
        suite, folder, rows, metrics, images.indices, record.truth, published, {}, warn, images.planned,
        record.until == DECIDED, record.environment["dtype"], read_elsewhere(folder, suite),
    )  # fmt: skip
    return replace(result, notes=tuple(record.notes))


def check_same_images(folder: Path, rows: Sequence[RowSet], recorded: int) -> None:
    """Check that a folder's rows are of as many images as its record says. Each file is replaced by itself.

    Raises UsageError if they are not: a run was stopped, or met a full disk, while it replaced an earlier result.
    """
    selected = (row.images.indices for row in rows if row.images.over == "selected")
    attacked = max((int(indices.max()) + 1 for indices in selected if len(indices)), default=recorded)
    if attacked != recorded:
        message = f"its rows are of {attacked} images, but its record of {recorded}"
        raise UsageError(Fault(str(folder), "", f"{message}: a run was stopped in between (run the suite again)"))


def read_elsewhere(folder: Path, suite: Suite) -> list[RowSet]:
    """Read the distances of other runs that a run's folder keeps, if its scores count them."""
    if not any(entry.store for entry in suite.optimality.values()):
        return []
    return unpack_rows(str(folder / OTHER_RUNS_FILE))


def build_metrics(suite: Suite, registry: Registry, where: str) -> dict[str, Metric]:
    """Build a suite's metrics by their labels. Raises UsageError that names the file `where`."""
    metrics: dict[str, Metric] = {}
    for label, entry in suite.metrics.items():
        offer = registry.find("metrics", entry.recipe, where, f"metrics.{label}.recipe")
        options, faults = offer.check(entry.options, where, f"metrics.{label}")
        stop_at_faults(faults)
        metrics[label] = offer.build(**options)
    return metrics


def _published(folder: Path, table: str) -> str:
    path = published_file(folder, table)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise UsageError(Fault(str(path), "", f"cannot read: {reason} (run the suite again)")) from None
