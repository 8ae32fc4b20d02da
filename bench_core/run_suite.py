"""Runs a suite from start to end: plan, compute what the store lacks, score, write the run's folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import Fault, Incomplete, Interrupted, UsageError, stop_at_faults
from .executors import NO_LIMITS, Executor, Limits
from .executors.devices import find_device
from .executors.dispatch import Dispatcher
from .executors.precision import PrecisionChoice, find_precision
from .files import safe_name
from .notebook import NotebookView, in_notebook
from .planning.plan import make_plan
from .planning.planner import selected_jobs
from .planning.recipe_faults import recipe_faults
from .planning.resolve import ResolvedSuite, resolve
from .planning.weights import missing_faults
from .progress import Progress, Silent
from .registry import Registry, discover
from .result import Result
from .runs.clean_images import CleanImages
from .runs.judged import check_same_images, is_judged, judged_name
from .runs.record import read_record
from .runs.rounds import Rounds, Scorer
from .runs.write import read_published, write
from .store import Store
from .suite.decide import DECIDED, with_decision
from .suite.load import at_overrides, load_suite, with_images
from .suite.model import Suite
from .tables.formats import plugin_formats


def resolve_suite(
    suite: Suite,
    registry: Registry | None = None,
    *,
    device: str = "auto",
    precision: PrecisionChoice = "float32",
    threads: int = 1,
    limit: int | None = None,
    remote: bool = False,
    with_images: bool = True,
) -> ResolvedSuite:
    """Resolve a suite for a device; see `planning.resolve.resolve`, and `find_device` for `device` and `remote`."""
    found = find_device(device, remote)
    chosen = find_precision(precision, found, threads, remote)
    return resolve(
        suite, registry or discover(), device=found, precision=chosen.precision, precision_reason=chosen.reason,
        threads=threads, limit=limit, with_images=with_images,
    )  # fmt: skip


def run(
    suite: Suite | str,
    *,
    out: str | Path = "results",
    images: int | None = None,
    limit: int | None = None,
    executor: str = "local",
    executor_options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "float32",
    threads: int = 1,
    registry: Registry | None = None,
    progress: Progress | None = None,
    limits: Limits = NO_LIMITS,
    memory: int | None = None,
    strict: bool = False,
    warn: bool = True,
    until: str | None = None,
    alpha: float | None = None,
    margin: float | str | None = None,
    on_round: Callable[[Result], None] | None = None,
) -> Result:
    """Run a suite and write `<out>/<suite>/<profile>/`. Results that the store `<out>/store` has are reused.

    Args:
        suite: The suite, or its file, or the name of a suite that comes with bench.
        out: The folder of all results.
        images: The number of images to attack, in place of the suite's own: more or fewer, a multiple of its
            micro-batch. See `suite.load.with_images`.
        limit: The largest number of images to attack, for a quick trial of a suite.
        executor: The name of the executor that computes the jobs.
        executor_options: The executor's options, as `bench plugins executors` lists them.
        workers: The number of workers; by default the executor chooses it.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: The number type of the attacks' gradients; auto is bfloat16 where torch computes it faster.
        threads: Threads of each worker.
        registry: The plugins; by default all that are installed.
        progress: Where progress is shown; by default below the cell of a notebook, and elsewhere nowhere.
        limits: Time and memory that a job may take before it is void.
        memory: The bytes that a worker may take. Fewer images are computed at once, so that it takes no more.
        strict: Whether to stop at the first void cell.
        warn: Whether to put warnings under the tables.
        until: "decided" to stop when no comparison of a table with its baseline is undecided (`suite.decide`). The
            number of images is then the largest one.
        alpha: The probability that any comparison without a difference is ever decided, in place of the suite's.
        margin: The margin of ties, such as "1pt", in place of the suite's.
        on_round: Called with the result so far, whenever the suite's attacks are complete on further images.

    Returns:
        The scores and tables, which are also written to the folder.

    Raises:
        UsageError: if the suite, a model's file or an option is wrong.
        Interrupted: on Ctrl-C. What finished is stored, and the folder has the result of the images that are complete.
        Incomplete: if the run cannot go on. The same holds.
    """
    if progress is None and in_notebook():
        view = NotebookView()
        progress, on_round = view, view.with_callback(on_round)
    registry = registry or discover()
    suite = load_suite(suite, more_faults=recipe_faults(registry)) if isinstance(suite, str) else suite
    suite = suite if images is None else with_images(suite, images)
    suite = with_decision(suite, until, alpha, margin)
    executor_instance, remote = make_executor(registry, executor, executor_options or {}, workers)
    resolved = resolve_suite(
        suite, registry, device=device, precision=precision, threads=threads, limit=limit, remote=remote
    )
    missing = missing_faults(suite, resolved.missing_weights)
    if resolved.images is None:
        raise UsageError(*missing, *at_overrides(suite, [Fault(suite.file, "data", resolved.data_missing)]))
    stop_at_faults(missing)
    if limits and not getattr(executor_instance, "limits", False):
        message = f'"{executor}" cannot limit the time or memory of a job (try local)'
        raise UsageError(Fault("--executor", "", message))
    out, store = writable(Path(out)), Store(Path(out) / "store")
    dispatcher = Dispatcher(store, executor_instance, progress or Silent(), registry, limits, strict, memory)
    published = read_published(suite)
    plugin_formats(registry.manager)  # raises now, not after the work, if two plugins offer the same format
    plan = make_plan(resolved, store)
    registry.manager.hook.bench_run_started(plan=plan)
    folder = folder_of(suite, out)
    check_same_images(folder, suite)
    rounds: Rounds | None = None
    with closing(executor_instance):
        try:
            dispatcher.check_sources([job for job in plan.jobs if plan.missing(job)])
            clean = CleanImages(resolved, dispatcher)
            selection = clean.select()
            attacks = selected_jobs(resolved, selection)
            scorer = Scorer(
                resolved, folder, selection, published, clean.jobs, clean.rows, clean.reasons, attacks, warn,
                until == DECIDED,
            )  # fmt: skip
            scorer = replace(scorer, other_runs=scorer.read_other_runs(out))
            rounds = Rounds(scorer, on_round)
            attack_arrays, attack_reasons = dispatcher.compute("attacks", attacks, rounds)
            clean.finish()
        except (KeyboardInterrupt, Interrupted, Incomplete) as stopped:
            stopped.add_note(save_complete_rounds(folder, rounds, registry))
            raise
    scorer = replace(scorer, clean=clean.jobs, clean_rows=clean.rows, clean_reasons=clean.reasons)
    scorer = replace(scorer, notes=clean.accuracy_notes())
    result = scorer.score(attack_arrays, attack_reasons, rounds.images if rounds.stopped else scorer.images)
    save(result, scorer, registry)
    if on_round is not None:
        on_round(result)
    registry.manager.hook.bench_run_finished(result=result)
    return result


def folder_of(suite: Suite, out: Path) -> Path:
    """Return the folder of a run. Judged images have their own, so that they do not replace the run of the suite."""
    judged = f"-judged-{judged_name(suite)}" if is_judged(suite) else ""
    return out / safe_name(suite.name) / f"{safe_name(suite.profile)}{judged}"


def save(result: Result, scorer: Scorer, registry: Registry) -> None:
    """Write the run's folder. Raises Incomplete if that is impossible."""
    try:
        write(result, scorer.record(result), registry.manager)
    except OSError as error:
        raise Incomplete(f"cannot write {result.folder}: {error.strerror or error}") from None


def save_complete_rounds(folder: Path, rounds: Rounds | None, registry: Registry) -> str:
    """Write the result of the complete rounds of a run that was stopped. Return what its folder has then.

    The folder is left alone if no round is complete, or if it has the same run with at least as many images.

    Args:
        folder: The run's folder.
        rounds: The rounds; None if the run was stopped before them.
        registry: The plugins.
    """
    if rounds is None or not rounds.images:
        try:
            earlier = read_record(folder)
        except UsageError:
            return f"finished results are stored, but no image is complete, so {folder} has no result yet"
        return f"no image is complete, so {folder} still has the earlier result of {len(earlier.images.ids)} images"
    scorer = rounds.scorer
    if has_more_images(scorer, rounds.images):
        return f"{folder} still has the earlier result of at least as many images"
    try:
        save(rounds.result(), scorer, registry)
    except Incomplete as error:
        return f"finished results are stored, but {error}"
    return f"{folder} has the result of the first {rounds.images} of {scorer.images} images"


def has_more_images(scorer: Scorer, images: int) -> bool:
    """Return whether a run's folder has the result of the same suite with at least as many images."""
    try:
        record = read_record(scorer.folder)
    except UsageError:
        return False
    same = record.suite == scorer.resolved.suite and record.host == scorer.resolved.host
    return same and tuple(record.images.ids[:images]) == scorer.selection.ids[:images]


def make_executor(
    registry: Registry, name: str, given: Mapping[str, Any], workers: int | None
) -> tuple[Executor, bool]:
    """Build an executor; return it and whether it is remote. Raises UsageError if it or an option is unknown."""
    offer = registry.find("executors", name, "--executor", "")
    options, faults = offer.check(given, f"--executor {name}", "")
    stop_at_faults(faults)
    return offer.build(workers=workers, registry=registry, **options), getattr(offer.recipe, "remote", False)


@contextmanager
def closing(executor: Executor) -> Iterator[None]:
    """Close an executor at the end, if it has a `close`."""
    try:
        yield
    finally:
        getattr(executor, "close", lambda: None)()


def writable(out: Path) -> Path:
    """Create the folder of all results and return it. Raises UsageError if it is not writable."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return out
    except OSError as error:
        raise UsageError(Fault("--out", str(out), f"cannot write there: {error.strerror or error}")) from None
