"""Weights & Biases: a run with tables, in offline mode unless the user asks for another."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench_core.hookspecs import hookimpl
from bench_core.publishing import PublisherRecipe, RunView, TableView, points

BENCH_API_VERSION = 1

if importlib.util.find_spec("wandb") is None:
    raise ImportError('wandb is not installed (try pip install "adversarial-bench[wandb]")')

COLUMNS = ("column", "value", "low", "high", "n", "void")


@dataclass(frozen=True)
class WeightsAndBiases:
    """Writes a run of Weights & Biases."""

    project: str
    to: str
    mode: Literal["offline", "online"]

    def publish(self, run: RunView) -> str:
        """Log a run; see `bench_core.publishing.Publisher`."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # reports errors to its makers by default
        import wandb

        Path(self.to).mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
        logged = wandb.init(
            project=self.project, name=f"{run.name}/{run.profile}", dir=self.to, mode=self.mode, settings=settings,
            config=config_of(run), job_type="bench",
        )  # fmt: skip
        logged.log(
            {
                f"tables/{file_name(table.name)}": wandb.Table(columns=columns_of(table), data=rows_of(table))
                for table in run.tables
            }
        )
        logged.summary.update(summary(run))
        folder = logged.settings.sync_dir
        logged.finish(exit_code=0 if run.complete else 1)
        if self.mode == "offline":
            return f"Weights & Biases, offline: {folder} (wandb sync {folder} would upload it)"
        return f"Weights & Biases: {logged.url}"


def file_name(table: str) -> str:
    """Replace what cannot be in the name of a file, which wandb makes of a table's name."""
    return re.sub(r"[^\w\-. ]", "_", table).replace("..", "__")


def config_of(run: RunView) -> dict[str, Any]:
    """Return what the run was made from."""
    kept = ("suite", "models", "versions", "environment", "seed", "limit", "host", "reproduce", "warnings", "notes")
    return {"images": run.images, **{key: run.facts[key] for key in kept}}


def summary(run: RunView) -> dict[str, float]:
    """Return every value of the tables with its interval and its number of images."""
    found: dict[str, float] = {}
    for point in points(run.tables):
        name, cell = point.name.replace(".", "_"), point.cell  # a dot begins a nested entry
        ends = {} if math.isnan(cell.low) else {"low": cell.low, "high": cell.high}
        found |= {f"{name}.{key}": value for key, value in {"value": cell.value, **ends, "n": cell.n}.items()}
    return found


def columns_of(table: TableView) -> list[str]:
    """Return the columns of a table in long form, with a row for each cell."""
    return [*table.header[: table.dimensions], *COLUMNS]


def rows_of(table: TableView) -> list[list[Any]]:
    columns = table.header[table.dimensions :]
    return [
        [*labels, column, *(number(value) for value in (cell.value, cell.low, cell.high)), cell.n, cell.void]
        for labels, cells in table.rows
        for column, cell in zip(columns, cells, strict=True)
    ]


def number(value: float) -> float | None:
    return None if math.isnan(value) else value


def wandb(project: str = "bench", to: str = ".", mode: Literal["offline", "online"] = "offline") -> WeightsAndBiases:
    """Log a run to Weights & Biases.

    Args:
        project: The name of the project.
        to: The folder in which `wandb/` is.
        mode: `offline` writes files only; `online` sends them to the server that wandb is set up for.
    """
    return WeightsAndBiases(project, to, mode)


@hookimpl
def bench_publishers() -> Mapping[str, PublisherRecipe]:
    return {"wandb": PublisherRecipe(wandb, "Weights & Biases: a run with tables, in offline mode by default.")}
