"""MLflow: a run in an experiment, with every value of the tables, its interval and its number of images."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_core.hookspecs import hookimpl
from bench_core.publishing import PublisherRecipe, RunView, points

BENCH_API_VERSION = 1

if importlib.util.find_spec("mlflow") is None:
    raise ImportError('mlflow is not installed (try pip install "adversarial-bench[mlflow]")')

LONGEST_VALUE = 6000  # characters of a parameter's value, as MLflow allows
LONGEST_KEY = 240  # characters; with ".high" MLflow allows 250
METRICS_AT_ONCE = 1000  # as MLflow allows


@dataclass(frozen=True)
class Mlflow:
    """Writes to an MLflow tracking store."""

    uri: str
    experiment: str | None
    files: bool

    def publish(self, run: RunView) -> str:
        """Log a run; see `bench_core.publishing.Publisher`."""
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # MLflow reports its use to its makers by default
        local = "://" not in self.uri
        if local:
            os.environ.setdefault(
                "MLFLOW_ALLOW_FILE_STORE", "true"
            )  # MLflow asks for this before it writes to a folder
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        client = MlflowClient(Path(self.uri).absolute().as_uri() if local else self.uri)
        name = self.experiment or run.name
        experiment = client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
        tags = {"bench.suite": run.name, "bench.profile": run.profile, "mlflow.note.content": str(run.title)}
        logged = client.create_run(experiment_id, tags=tags, run_name=f"{run.name}/{run.profile}")
        run_id, time = logged.info.run_id, logged.info.start_time
        metrics = [Metric(key, value, time, run.images) for key, value in values(run).items()]
        for first in range(0, len(metrics), METRICS_AT_ONCE):
            client.log_batch(run_id, metrics=metrics[first : first + METRICS_AT_ONCE])
        client.log_batch(run_id, params=[Param(key, value) for key, value in parameters(run).items()])
        if self.files:
            client.log_artifacts(run_id, str(run.folder), "run")
        client.set_terminated(run_id, "FINISHED" if run.complete else "FAILED")
        return f"MLflow: run {run_id} of experiment {name} in {self.uri}"


def values(run: RunView) -> dict[str, float]:
    """Return the metrics: each value of the tables, and beside it the ends of its interval and its N."""
    metrics: dict[str, float] = {}
    for point in points(run.tables):
        key, cell = metric_key(point.name), point.cell
        if key in metrics:  # another name became the same key
            key = f"{key[: LONGEST_KEY - 9]}-{hashlib.sha256(point.name.encode()).hexdigest()[:8]}"
        metrics[key] = cell.value
        if not math.isnan(cell.low):
            metrics |= {f"{key}.low": cell.low, f"{key}.high": cell.high}
        metrics[f"{key}.n"] = cell.n
    return metrics


def metric_key(name: str) -> str:
    """Replace what MLflow does not allow in the name of a metric, which is a path, and shorten it."""
    return re.sub(r"[^\w\-. :/]", "_", name).replace("..", "__")[:LONGEST_KEY]


def parameters(run: RunView) -> dict[str, str]:
    """Return what the run was made from, as text."""
    facts: Mapping[str, Any] = run.facts
    networks = {f"network.{label}": str(model["identity"]) for label, model in facts["models"].items()}
    versions = {f"version.{package}": str(version) for package, version in facts["versions"].items()}
    general = {
        "images": str(run.images), "images.digest": facts["images"]["digest"],
        "dataset.digest": facts["dataset"]["digest"],
        "seed": str(facts["seed"]), "device": str(facts["environment"].get("device")), "reproduce": facts["reproduce"],
    }  # fmt: skip
    every = {**general, **versions, **networks}
    return {metric_key(key): value[:LONGEST_VALUE] for key, value in every.items()}


def mlflow(uri: str = "mlruns", experiment: str | None = None, files: bool = True) -> Mlflow:
    """Log a run to MLflow.

    Args:
        uri: A folder, or the URI of a tracking store: `sqlite:///mlflow.db`, or a server's.
        experiment: The name of the experiment; the suite's by default.
        files: Whether to log the files of the run's folder as artifacts, with which anyone can recompute the tables.
    """
    return Mlflow(uri, experiment, files)


@hookimpl
def bench_publishers() -> Mapping[str, PublisherRecipe]:
    return {"mlflow": PublisherRecipe(mlflow, "MLflow: a run with metrics, parameters and files; a folder by default.")}
