"""The whole flow, seen only here: plan, compute what the store lacks, score, write the run's folder."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .digests import digest
from .errors import Fault, UsageError, stop_at_faults
from .executors import NO_LIMITS, Executor, Limits
from .executors.devices import find_device
from .executors.dispatch import Computing, Found, Incomplete, Voids, compute
from .executors.hardware import processor
from .planning.accuracy import accuracy_faults
from .planning.planner import PREDICTED, Job, Plan, Planner, Selection, stored_cells
from .planning.weights import missing_faults
from .progress import Progress, Silent
from .registry import Registry, discover
from .scores.derived import derive
from .scores.summarise import LabelledScore, RowSet, gather, pack_rows, summarise, unpack_rows
from .scores.warnings import Warned, flags, warnings
from .store import Store, write_atomically
from .suite.model import Suite, command, load_suite
from .suite.output_faults import outcome_faults
from .suite.outputs import TableTable
from .tables.pivot import Table, pivot, shown
from .tables.text_formats import FORMATS, comma_separated
from .types import Metric, Precision


@dataclass
class Result:
    """What came out of a run: scores with their labels, tables, the reason of every void, and what to be careful of.

    `selected` are the places of the attacked images in the dataset. With `warn` false there are no warnings.
    """

    suite: Suite
    folder: Path
    scores: list[LabelledScore]
    tables: list[Table]
    voids: Voids = field(default_factory=dict)
    rows: list[RowSet] = field(default_factory=list)
    selected: list[int] = field(default_factory=list)
    warn: bool = True
    warned: list[Warned] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not any(score.void for score in self.scores)

    def score(self, metrics: Mapping[str, Metric], selected: Sequence[int], truth: Sequence[int]) -> None:
        """Derive scores and tables from the rows; `selected` and `truth` as `summarise` takes them."""
        suite = self.suite
        self.selected = list(selected)
        self.scores = summarise(self.rows, metrics, suite.images.rule, selected, truth)
        self.scores += derive(self.scores, suite)
        base = Path(suite.file).parent
        self.warned = warnings(self.rows, self.scores, suite.budgets) if self.warn else []
        self.tables = [self.flagged(pivot(self.scores, each, suite.title, base, suite.file), each)
                       for each in suite.tables]  # fmt: skip

    def flagged(self, table: Table, asked: TableTable) -> Table:
        """Put the warnings that concern a table's scores under it."""
        said = flags(shown(self.scores, asked), self.warned)
        return replace(table, notes=(*table.notes, *(each for each in said if each.startswith("W: "))))

    def records(self) -> list[dict[str, Any]]:
        """Give all scores as flat records, ready for a data frame."""
        return [score.record() for score in self.scores]

    def arrays(self, metric: str, **labels: str) -> dict[str, NDArray[Any]]:
        """Give the per-image rows of one metric under some labels, in the order of the images.

        Raises KeyError where the labels fit no rows, or several.
        """
        fitting = [r for r in self.rows if r.metric == metric and all(r.labels.get(k) == v for k, v in labels.items())]
        if len(fitting) != 1:
            raise KeyError(f"{len(fitting)} sets of rows are {metric} of {labels}")
        return fitting[0].arrays


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
    rows = label_rows(gather([*clean, *jobs], found | more, voids), planner)
    folder = out / safe_name(suite.name) / safe_name(suite.profile)
    result = Result(suite, folder, [], [], voids, rows, warn=warn)
    result.score(metrics_of(planner), selection.indices, truth(planner, selection))
    try:
        write(result, planner, selection)
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


def truth(planner: Planner, selection: Selection) -> list[int]:
    assert planner.images is not None
    return [planner.images.labels[i] for i in selection.indices]


def metrics_of(planner: Planner) -> dict[str, Metric]:
    return {use.label: use.metric for use in planner.uses}


def label_rows(rows: Sequence[RowSet], planner: Planner) -> list[RowSet]:
    """Add the labels that follow from others: the norm of a budget, the relation of source and target, swept values."""
    sources = {"+".join(s) if isinstance(s, list) else s: s for s in planner.suite.sources}
    for each in rows:
        if "budget" in each.labels:
            each.labels["norm"] = planner.suite.budgets[each.labels["budget"]].norm
        if "source" in each.labels and "target" in each.labels:
            each.labels["relation"] = planner.relation(sources[each.labels["source"]], each.labels["target"])
        if "attack" in each.labels:
            each.labels |= planner.suite.attacks[each.labels["attack"]].swept
    return list(rows)


def safe_name(name: str) -> str:
    """Make a name from a file harmless as a folder: letters, digits, dot, dash and underscore, never only dots."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)[:100]
    return plain if plain.strip(".") else f"_{plain}"


def write(result: Result, planner: Planner, selection: Selection) -> None:
    """Write the run's folder; every file is whole or the one before."""
    suite, folder = result.suite, result.folder
    assert planner.images is not None
    facts = {
        "suite": suite.model_dump(mode="json"),
        "images": {"indices": selection.indices, "ids": selection.ids, "digest": selection.digest},
        "dataset": {"count": len(planner.images.ids), "digest": digest(list(planner.images.ids))},
        "truth": truth(planner, selection),
        "models": planner.models,
        "environment": planner.environment
        | {"python": platform.python_version(), "system": platform.system(), "processor": processor(planner.device)},
        "versions": {n: _version(n) for n in ("adversarial-bench", "torch", "torchvision", "numpy", "safetensors")},
        "plugins": sorted({f"{o.origin.plugin} {o.origin.package} {o.origin.version} {o.origin.source}"
                           for o in planner.registry.offers.values()}),
        "host": planner.host,
        "seed": suite.seed,
        "limit": planner.limit,
        "global_seed": sorted({attack for (attack, _, _), use in planner.attacks.items() if use.global_seed}),
        "deviations": {attack: use.deviations for (attack, _, _), use in planner.attacks.items() if use.deviations},
        "voids": sorted(set(result.voids.values())),
        "warnings": [f"{each.kind}: {each}" for each in result.warned],
        "reproduce": reproduce(suite, planner.limit),
    }  # fmt: skip
    write_atomically(folder / "rows.safetensors", pack_rows(result.rows))
    write_atomically(folder / "scores.jsonl", "".join(json.dumps(r) + "\n" for r in result.records()).encode())
    write_tables(result)
    write_atomically(folder / "run.json", (json.dumps(facts, indent=1) + "\n").encode())


def write_tables(result: Result) -> None:
    for table in result.tables:
        for suffix, render in FORMATS.values():
            path = result.folder / "tables" / f"{safe_name(table.name)}.{suffix}"
            write_atomically(path, render(table).encode())
        with_intervals = result.folder / "tables" / f"{safe_name(table.name)}.intervals.csv"
        write_atomically(with_intervals, comma_separated(table, intervals=True).encode())


def reproduce(suite: Suite, limit: int | None) -> str:
    return command("run", suite, *(["--limit", str(limit)] if limit else []))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def load_result(folder: Path, registry: Registry | None = None, warn: bool = True) -> Result:
    """Read a run's folder back and derive scores and tables again; needs no model and no torch.

    Raises UsageError where the folder is no run, or a metric of it is not installed.
    """
    path = folder / "run.json"
    try:
        facts = json.loads(path.read_text())
        suite = Suite(**facts["suite"])
        selected, classes = facts["images"]["indices"], facts["truth"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(Fault(str(path), "", f"not the record of a run ({reason}); run the suite first")) from None
    rows = unpack_rows(str(folder / "rows.safetensors"))
    registry = registry or discover()
    metrics: dict[str, Metric] = {}
    for label, entry in suite.metrics.items():
        offer = registry.find("metrics", entry.recipe, str(path), f"metrics.{label}.recipe")
        options, faults = offer.check(entry.options, str(path), f"metrics.{label}")
        if faults:
            raise UsageError(*faults)
        metrics[label] = offer.build(**options)
    result = Result(suite, folder, [], [], {}, rows, warn=warn)
    result.score(metrics, selected, classes)
    return result
