"""The whole flow, seen only here: plan, compute what the store lacks, score, write the run's folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Fault, UsageError, stop_at_faults
from .executors import NO_LIMITS, Executor, Limits
from .executors.devices import find_device
from .executors.dispatch import Computing, Found, Incomplete, Voids, compute
from .planning.accuracy import accuracy_faults
from .planning.planner import PREDICTED, Job, Plan, Planner, stored_cells
from .planning.weights import missing_faults
from .progress import Progress, Silent
from .registry import Registry, discover
from .result import Result
from .runs.folder import safe_name
from .runs.scoring import score_run
from .runs.write import make_record, read_published, selected_truth, write
from .scores.rows import complete_labels, gather
from .store import Store
from .suite.model import Suite, load_suite
from .suite.output_faults import outcome_faults
from .types import Metric, Precision


def make_planner(
    suite: Suite,
    registry: Registry | None = None,
    *,
    device: str = "auto",
    precision: Precision = "float32",
    threads: int = 1,
    limit: int | None = None,
    remote: bool = False,
    images: bool = True,
) -> Planner:
    used, found = registry or discover(), find_device(device, remote)
    planner = Planner(suite, used, found, precision, threads, limit, with_images=images)
    stop_at_faults(outcome_faults(suite, metrics_of(planner)))
    return planner


def make_plan(planner: Planner, store: Store) -> Plan:
    """Plan a run against a store. Before the clean predictions are known, the selection is a stand-in of its size."""
    clean = planner.clean_jobs()
    stored = stored_cells(clean, store)
    complete = planner.images is not None and all(
        cell.key in stored[job.address] for job in clean for cell in job.cells if cell.metric == PREDICTED
    )
    selection = None
    if complete:
        found: Found = {job.address: store.get(job.address) for job in clean}
        selection = planner.select(predictions_of(clean, found)) if _whole(clean, found) else None
    if planner.images is None:
        return Plan(planner, None, [], {})
    selected = planner.selected_jobs(selection or planner.expected_selection())
    return Plan(planner, selection, clean + selected, stored | stored_cells(selected, store))


def _whole(jobs: Sequence[Job], found: Found) -> bool:
    return all(cell.key in found[job.address] for job in jobs for cell in job.cells if cell.metric == PREDICTED)


def predictions_of(jobs: Sequence[Job], found: Found) -> dict[str, list[int]]:
    predictions: dict[str, list[int]] = {}
    for job in jobs:
        for cell in job.cells:
            if cell.metric == PREDICTED and cell.target:
                predictions.setdefault(cell.target, []).extend(found[job.address][cell.key]["predicted"].tolist())
    return predictions


def run(
    suite: Suite | str,
    *,
    out: str | Path = "results",
    limit: int | None = None,
    executor: str = "local",
    executor_options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    threads: int = 1,
    registry: Registry | None = None,
    progress: Progress | None = None,
    limits: Limits = NO_LIMITS,
    strict: bool = False,
    warn: bool = True,
) -> Result:
    """Run a suite and write `<out>/<suite>/<profile>/`; what the store under `<out>/store` has is not computed again.

    `limit` takes at most so many images, for a glance; `executor_options` are those that `bench plugins` lists for the
    executor; `limits` are what each job may take before it is void; `strict` stops at the first void;
    `warn` puts what to be careful of under the tables. Raises UsageError, Interrupted or Incomplete.
    """
    suite = load_suite(suite) if isinstance(suite, str) else suite
    progress = progress or Silent()
    used = registry or discover()
    hands, remote = make_executor(used, executor, executor_options or {}, workers)
    planner = make_planner(suite, used, device=device, precision=precision, threads=threads, limit=limit, remote=remote)
    missing = missing_faults(suite, planner.missing_weights)
    if planner.images is None:
        raise UsageError(*missing, Fault(suite.file, "data", planner.data_missing))
    stop_at_faults(missing)
    if limits and not getattr(hands, "limits", False):
        message = f'"{executor}" cannot hold a job to limits of time or memory (would do: local)'
        raise UsageError(Fault("--executor", "", message))
    out, store = writable(Path(out)), Store(Path(out) / "store")
    by = Computing(store, hands, progress, used, limits, strict)
    published = read_published(suite)
    used.manager.hook.bench_run_started(plan=make_plan(planner, store))
    clean = planner.clean_jobs()
    with closing(hands):
        found, voids = compute("clean images", clean, by)
        stop_without_predictions(clean, voids)
        predictions = predictions_of(clean, found)
        stop_at_faults(accuracy_faults(suite, predictions, planner.images.labels))
        selection = planner.select(predictions)
        jobs = planner.selected_jobs(selection)
        more, more_voids = compute("attacks", jobs, by)
    voids |= more_voids
    complete = complete_labels(suite, planner.relation)
    rows = gather(clean, found, voids, complete, "all", range(len(planner.images.ids)))
    rows += gather(jobs, more, voids, complete, "selected", selection.indices)
    folder = out / safe_name(suite.name) / safe_name(suite.profile)
    truth = selected_truth(planner, selection)
    result = score_run(suite, folder, rows, metrics_of(planner), selection.indices, truth, published, voids, warn)
    try:
        write(result, make_record(result, planner, selection))
    except OSError as error:
        raise Incomplete(f"cannot write {folder}: {error.strerror or error}") from None
    used.manager.hook.bench_run_finished(result=result)
    return result


def make_executor(
    registry: Registry, name: str, given: Mapping[str, Any], workers: int | None
) -> tuple[Executor, bool]:
    """Build an executor, and say whether it is remote. Raises UsageError for an unknown one or its options."""
    offer = registry.find("executors", name, "--executor", "")
    options, faults = offer.check(given, f"--executor {name}", "")
    stop_at_faults(faults)
    return offer.build(workers=workers, registry=registry, **options), getattr(offer.recipe, "remote", False)


@contextmanager
def closing(executor: Executor) -> Iterator[None]:
    """Close an executor that keeps something between its runs."""
    try:
        yield
    finally:
        getattr(executor, "close", lambda: None)()


def writable(out: Path) -> Path:
    """Make the folder of all results. Raises UsageError where nothing can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return out
    except OSError as error:
        raise UsageError(Fault("--out", str(out), f"cannot write there: {error.strerror or error}")) from None


def stop_without_predictions(jobs: Sequence[Job], voids: Voids) -> None:
    """Raise Incomplete where a model has not classified the clean images: from that the attacked ones follow."""
    failed = {
        cell.target: reason
        for job in jobs
        for cell in job.cells
        if cell.metric == PREDICTED and (reason := voids.get((job.address, cell.key)))
    }
    if failed:
        told = "; ".join(f"{target}: {reason}" for target, reason in failed.items())
        raise Incomplete(f"the models' predictions failed: {told}")


def metrics_of(planner: Planner) -> dict[str, Metric]:
    return {use.label: use.metric for use in planner.uses}
