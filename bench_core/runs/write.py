"""Writes a result into its run's folder: rows, scores, tables, published values, and the record."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from ..digests import digest
from ..errors import Fault, UsageError
from ..executors.hardware import processor
from ..files import read_text, safe_name
from ..result import Result
from ..scores.rows import pack_rows
from ..store import write_atomically
from ..suite.decide import DECIDED
from ..suite.load import command
from ..suite.model import Suite
from ..tables.formats import saved_files
from ..types import Precision
from .folder import OTHER_RUNS_FILE, RECORD_FILE, ROWS_FILE, SCORES_FILE, published_file
from .judged import is_judged, judge_command
from .other_runs import ONLY_THIS_RUN, OtherRuns
from .record import Dataset, RunRecord, SelectedImages

if TYPE_CHECKING:
    from ..planning.resolve import ResolvedSuite
    from ..planning.selection import Selection

PACKAGES = ("adversarial-bench", "torch", "torchvision", "numpy", "safetensors")


def selected_truth(resolved: ResolvedSuite, selection: Selection) -> list[int]:
    """Return the classes of the selected images."""
    assert resolved.images is not None
    return [resolved.images.labels[index] for index in selection.indices]


def read_published(suite: Suite) -> dict[str, str]:
    """Read the CSV files of published values that a suite's tables name. Returns each text by its table's name."""
    texts = {}
    for table in suite.tables:
        if table.reference:
            path = Path(suite.file).parent / table.reference.file
            try:
                texts[table.name] = read_text(path)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                key = f"tables.{table.name}.reference.file"
                raise UsageError(Fault(suite.file, key, f"cannot read {path}: {reason}")) from None
    return texts


def make_record(
    result: Result, resolved: ResolvedSuite, selection: Selection, others: OtherRuns = ONLY_THIS_RUN
) -> RunRecord:
    """Build the record of what a run was made from, and of the other runs whose distances it counts."""
    assert resolved.images is not None
    suite, ids = result.suite, list(resolved.images.ids)
    machine = {"python": platform.python_version(), "system": platform.system()}
    machine |= {"precision": resolved.precision} if resolved.precision_reason else {}
    origins = {offer.origin for offer in resolved.registry.offers.values()}
    return RunRecord(
        suite=suite,
        images=SelectedImages(
            indices=list(selection.indices), ids=list(selection.ids), digest=selection.digest, planned=result.planned
        ),
        dataset=Dataset(count=len(ids), digest=digest(ids)),
        truth=selected_truth(resolved, selection),
        models={label: dict(model.description) for label, model in resolved.models.items()},
        environment={**resolved.environment.to_json(), **machine, "processor": processor(resolved.environment.device)},
        versions={name: _version(name) for name in PACKAGES},
        plugins=sorted({f"{origin.plugin} {origin.package} {origin.version} {origin.source}" for origin in origins}),
        host=resolved.host,
        seed=suite.seed,
        limit=resolved.limit,
        until=DECIDED if result.until_decided else None,
        decisions=result.decisions.record() if result.decisions else None,
        global_seed=sorted({attack for (attack, _, _), use in resolved.attacks.items() if use.global_seed}),
        deviations={attack: use.deviations for (attack, _, _), use in resolved.attacks.items() if use.deviations},
        voids=sorted(set(result.voids.values())),
        warnings=[*(f"{warning.kind}: {warning}" for warning in result.warned), *resolved.notes],
        notes=[*resolved.notes, *others.notes],
        other_runs=list(others.runs),
        reproduce=reproduce(suite, resolved.limit, result.until_decided, resolved.environment.dtype),
    )


def write(result: Result, record: RunRecord, manager: pluggy.PluginManager) -> None:
    """Write the run's folder. Each file is replaced atomically, and the record is written last."""
    folder = result.folder
    write_atomically(folder / ROWS_FILE, pack_rows(result.rows))
    if any(entry.store for entry in result.suite.optimality.values()):
        write_atomically(folder / OTHER_RUNS_FILE, pack_rows(result.elsewhere))
    lines = "".join(json.dumps(score) + "\n" for score in result.records())
    write_atomically(folder / SCORES_FILE, lines.encode())
    for table, text in result.published.items():
        write_atomically(published_file(folder, table), text.encode())
    write_tables(result, manager)
    text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
    write_atomically(folder / RECORD_FILE, text.encode())


def write_tables(result: Result, manager: pluggy.PluginManager) -> None:
    """Write every table in every format, including those of plugins, and as CSV with intervals."""
    for table in result.tables:
        for suffix, text in saved_files(table, manager):
            write_atomically(result.folder / "tables" / f"{safe_name(table.name)}.{suffix}", text.encode())


def reproduce(suite: Suite, limit: int | None, until_decided: bool, precision: Precision = "float32") -> str:
    """Return the command that runs the suite again."""
    limits = ["--limit", str(limit)] if limit else []
    until = ["--until", DECIDED] if until_decided else []
    precisions = ["--precision", precision] if precision != "float32" else []
    if is_judged(suite):
        return judge_command(suite, *limits)
    return command("run", suite, *limits, *until, *precisions)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
