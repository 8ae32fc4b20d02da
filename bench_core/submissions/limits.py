"""Limits on the work that an untrusted run asks for, checked before any of it is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import Fault
from ..planning.jobs import AttackJob, PlannedJob
from ..planning.resolve import ResolvedSuite
from ..runs.folder import RECORD_FILE
from ..runs.record import RunRecord
from ..suite.budget import MOST_STEPS
from ..suite.model import Suite

UNLIMITED_HINT = "(try --no-limits, if you trust its author)"
MOST_ENTRIES = {
    "budgets": 200, "attacks": 1000, "given": 1000, "metrics": 100, "models": 1000, "sources": 1000, "targets": 1000,
    "worst_case": 100, "correlations": 100, "security_curves": 100, "optimality": 100, "tables": 200, "plots": 200,
    "gate": 1000,
}  # fmt: skip
MOST_IMAGES = 100_000
MOST_AT_ONCE = 10_000  # images of a micro-batch
MOST_ALL_STEPS = 2_000_000  # of all attacks on all sources: the plan adds their costs step by step
MOST_OPTION = 1_000_000  # a number in an option of a recipe
MOST_DATA_OPTION = 10_000  # a number in an option of the dataset, which is built before anything else
MOST_DATA = 5 * 10**7  # the product of all numbers in the dataset's options, such as the count and size of images
MOST_LIST = 10_000  # items of a list in an option
NO_AMOUNTS = ("seed",)  # options that are numbers but not amounts
MOST_JOBS, MOST_CELLS = 200_000, 5_000_000
MOST_RUN_PASSES = 10**10  # of a whole run that is only checked


def record_faults(record: RunRecord) -> Iterator[Fault]:
    """Find keys of a run's suite that exceed a limit."""
    suite = record.suite
    for key, value, most in _amounts(suite):
        if value > most:
            yield Fault(RECORD_FILE, f"suite.{key}", f"found {_short(value)}, more than {most:,} {UNLIMITED_HINT}")
    jobs, cells = _jobs_and_cells(suite, len(record.images.ids))
    for found, most, what in ((jobs, MOST_JOBS, "micro-batches"), (cells, MOST_CELLS, "cells")):
        if found > most:
            gives = f"gives {_short(found)} {what} of {suite.compute.micro_batch} images"
            message = f"{gives}, more than {most:,} {UNLIMITED_HINT}"
            yield Fault(RECORD_FILE, "suite.compute.micro_batch", message)
            return


def _amounts(suite: Suite) -> Iterator[tuple[str, int | float, int]]:
    """Yield each amount in a suite that decides how much is computed: its key, the amount and the limit."""
    for key, most in MOST_ENTRIES.items():
        yield f"{key} (their number)", len(getattr(suite, key)), most
    yield "images.count", suite.images.count, MOST_IMAGES
    yield "keep.images", suite.keep.images, MOST_IMAGES
    yield "keep.steps (their number)", len(suite.keep.steps), MOST_LIST
    yield "compute.micro_batch", suite.compute.micro_batch, MOST_AT_ONCE
    for label, budget in suite.budgets.items():
        for name in ("steps", "queries", "passes"):
            yield f"budgets.{label}.{name}", getattr(budget, name) or 0, MOST_STEPS
    yield "budgets (the steps of all attacks)", _all_steps(suite), MOST_ALL_STEPS
    for kind in ("attacks", "metrics", "models", "given"):
        for label, entry in getattr(suite, kind).items():
            yield from _in_options(f"{kind}.{label}", entry.model_dump(mode="json"), MOST_OPTION)
    data = list(_in_options("data", suite.data.options, MOST_DATA_OPTION))
    yield from data
    yield "data (its options multiplied)", math.prod(max(1, value) for _, value, _ in data), MOST_DATA


def _in_options(key: str, value: Any, most: int) -> Iterator[tuple[str, int | float, int]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name not in NO_AMOUNTS:
                yield from _in_options(f"{key}.{name}", item, most)
    elif isinstance(value, list | tuple):
        yield f"{key} (its length)", len(value), MOST_LIST
        for item in value[: MOST_LIST + 1]:
            yield from _in_options(key, item, most)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, abs(value), most


def _all_steps(suite: Suite) -> int:
    """Return the steps of all attacks on all sources, times those of a binary search for budgets that limit passes."""
    total = 0
    for budget in suite.budgets.values():
        uses = len(budget.attacks or suite.attacks) * len(budget.sources or suite.sources)
        total += budget.steps * uses * (budget.steps.bit_length() if budget.passes else 1)
    return total


def _jobs_and_cells(suite: Suite, images: int) -> tuple[int, int]:
    """Return upper bounds on the numbers of jobs and cells."""
    attacked = len(suite.sources) * len(suite.attacks) * max(1, len(suite.budgets)) + len(suite.given)
    jobs = (attacked + len(suite.models)) * math.ceil(images / suite.compute.micro_batch)
    return jobs, jobs * (1 + len(suite.metrics) * max(1, len(suite.targets)))


def work_faults(
    resolved: ResolvedSuite, jobs: Sequence[PlannedJob], most: int | None, what: str, hint: str
) -> list[Fault]:
    """Find whether jobs take more passes than a limit.

    Args:
        resolved: The suite.
        jobs: The jobs.
        most: The limit; None for none.
        what: What the jobs are, for the message.
        hint: What the user can try, for the message.

    Returns:
        A fault that names the attack or the metric that takes the most, or none.
    """
    if most is None or not jobs:
        return []
    total = math.fsum(job.passes for job in jobs)
    if total <= most:  # False for NaN
        return []
    largest = max(jobs, key=lambda job: job.passes)
    found = f"{what} takes {_short(total)} passes of single images, more than {most:,}"
    return [Fault(RECORD_FILE, f"suite.{_taking(resolved, largest)}", f"{found} {hint}")]


def _taking(resolved: ResolvedSuite, job: PlannedJob) -> str:
    """Return the key of what takes most of a job's passes."""
    if isinstance(job.job, AttackJob) and sum(job.cost) >= job.evaluations:
        return f"attacks.{job.labels['attack']}"
    steps = getattr(getattr(job.job, "budget", None), "steps", 1)
    metrics = {cell.metric for cell in job.cells}
    forwards = {use.label: use.forwards * use.observations(steps) for use in resolved.uses if use.label in metrics}
    return f"metrics.{max(forwards, key=lambda label: forwards[label])}" if forwards else "models"


def _short(value: int | float) -> str:
    """Return a number with separators, or in scientific notation if it is too long to read."""
    if isinstance(value, int) and value < 10**12:
        return f"{value:,}"
    try:
        return f"{value:.3g}"
    except OverflowError:
        return "a number of more than 300 digits"
