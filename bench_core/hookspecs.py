"""Every hook of bench, on one page. A plugin implements those it needs with `@hookimpl`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from .types import AttackRecipe, DataRecipe, ExecutorRecipe, MetricRecipe, ModelRecipe

if TYPE_CHECKING:
    from .planning.planner import Job, Plan
    from .result import Result
    from .tables.table import Table

hookspec = pluggy.HookspecMarker("bench")
hookimpl = pluggy.HookimplMarker("bench")


@hookspec
def bench_attacks() -> Mapping[str, AttackRecipe]:  # type: ignore[empty-body]
    """Offer attacks, by the name that a suite's `recipe = ` uses."""


@hookspec
def bench_metrics() -> Mapping[str, MetricRecipe]:  # type: ignore[empty-body]
    """Offer metrics."""


@hookspec
def bench_models() -> Mapping[str, ModelRecipe]:  # type: ignore[empty-body]
    """Offer models."""


@hookspec
def bench_datasets() -> Mapping[str, DataRecipe]:  # type: ignore[empty-body]
    """Offer datasets, by the name that `[data] kind = ` uses."""


@hookspec
def bench_executors() -> Mapping[str, ExecutorRecipe]:  # type: ignore[empty-body]
    """Offer executors, by the name that `--executor` uses."""


@hookspec
def bench_run_started(plan: Plan) -> None:
    """Hear that a run begins, with everything it will compute and everything it already has."""


@hookspec
def bench_cell_done(job: Job, rows: Mapping[str, Any] | None, reason: str | None) -> None:
    """Hear that a job ended: with the rows of its cells; where some or all of them are void, also why."""


@hookspec
def bench_run_finished(result: Result) -> None:
    """Hear that a run ended, with its scores and tables."""


@hookspec
def bench_formats() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the formats of tables that every run saves, by the name that `--format` uses, and their file suffixes."""


@hookspec(firstresult=True)
def bench_render(table: Table, format: str, intervals: bool) -> str | None:
    """Return a table in a format of your own, or None for other formats. `intervals`: whether `--ci` asks for them."""
