"""The hooks of bench. A plugin implements those that it needs with `@hookimpl`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

from .recipes import AttackRecipe, DataRecipe, ExecutorRecipe, MetricRecipe, ModelRecipe, PublisherRecipe
from .run_views import JobView, PlanView, ResultView, TableView

hookspec = pluggy.HookspecMarker("bench")
hookimpl = pluggy.HookimplMarker("bench")


@hookspec
def bench_attacks() -> Mapping[str, AttackRecipe]:  # type: ignore[empty-body]
    """Return attacks by the name that a suite's `recipe = ` uses."""


@hookspec
def bench_metrics() -> Mapping[str, MetricRecipe]:  # type: ignore[empty-body]
    """Return metrics by the name that a suite's `recipe = ` uses."""


@hookspec
def bench_models() -> Mapping[str, ModelRecipe]:  # type: ignore[empty-body]
    """Return models by the name that a suite's `recipe = ` uses."""


@hookspec
def bench_datasets() -> Mapping[str, DataRecipe]:  # type: ignore[empty-body]
    """Return datasets by the name that `[data] kind = ` uses."""


@hookspec
def bench_executors() -> Mapping[str, ExecutorRecipe]:  # type: ignore[empty-body]
    """Return executors by the name that `--executor` uses."""


@hookspec
def bench_publishers() -> Mapping[str, PublisherRecipe]:  # type: ignore[empty-body]
    """Return publishers by the name that `bench publish --to` uses."""


@hookspec
def bench_run_started(plan: PlanView) -> None:
    """Called before a run computes anything, with its plan."""


@hookspec
def bench_cell_done(job: JobView, rows: Mapping[str, Any] | None, reason: str | None) -> None:
    """Called after a job, with its arrays (by cell key, then row name) and the reason if any of its cells is void."""


@hookspec
def bench_run_finished(result: ResultView) -> None:
    """Called after a run, with its scores and tables."""


@hookspec
def bench_formats() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return file suffixes by the name that `--format` uses. Every run saves its tables in each of these formats."""


@hookspec(firstresult=True)
def bench_render(table: TableView, format: str, intervals: bool) -> str | None:
    """Render a table in one of the plugin's formats; return None for others. `intervals`: whether `--ci` is given."""
