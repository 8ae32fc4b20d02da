"""MLflow, Weights & Biases and TensorBoard hold every value of the tables with interval and N; read by the library."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench_core.publishing import points
from bench_core.runs.finished import FinishedRun
from bench_core.tables.table import TableCell


def numbers(cell: Any) -> dict[str, float]:
    """Return what a tracker must hold of a cell."""
    ends = {} if math.isnan(cell.low) else {"low": cell.low, "high": cell.high}
    return {"value": cell.value, **ends, "n": float(cell.n)}


def test_a_run_has_cells_with_and_without_values(cells: dict[str, Any], finished: FinishedRun) -> None:
    assert [point.name for point in points(finished.tables)] == list(cells)
    assert any(not math.isnan(cell.low) for cell in cells.values())


def test_tensorboard_reads_every_value_back(publish, cells: dict[str, Any], finished: FinishedRun) -> None:
    where = publish("tensorboard", to="logs")
    assert where == "TensorBoard: logs/toy/toy (tensorboard --logdir logs)"
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator("logs/toy/toy")
    events.Reload()
    expected = {f"{name}/{key}": value for name, cell in cells.items() for key, value in numbers(cell).items()}
    found = {tag: events.Scalars(tag)[0] for tag in events.Tags()["scalars"]}
    assert {tag: event.value for tag, event in found.items()} == pytest.approx(expected)
    assert {event.step for event in found.values()} == {finished.images}
    text = events.Tensors("tables/main/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "N = 12" in text
    assert "void" in text


def test_wandb_is_offline_and_has_the_table(publish, cells: dict[str, Any]) -> None:
    where = publish("wandb", to="tracked")
    assert where.startswith("Weights & Biases, offline: ")
    (folder,) = Path("tracked/wandb").glob("offline-run-*")
    (file,) = folder.rglob("*.table.json")
    table = json.loads(file.read_text())
    assert table["columns"] == ["source", "attack", "column", "value", "low", "high", "n", "void"]
    found = {"/".join(["main", *row[:3]]): row[3:7] for row in table["data"] if row[3] is not None}
    assert set(found) == set(cells)
    for name, cell in cells.items():
        assert found[name][0] == pytest.approx(cell.value)
        assert found[name][3] == cell.n
        if not math.isnan(cell.low):
            assert found[name][1:3] == pytest.approx([cell.low, cell.high])
    assert any(row[7] for row in table["data"]), "a void cell has its reason"


def test_the_summary_of_wandb_has_every_value(cells: dict[str, Any], finished: FinishedRun) -> None:
    wandb = pytest.importorskip("bench_publishers.wandb", exc_type=ImportError)
    expected = {f"{name}.{key}": value for name, cell in cells.items() for key, value in numbers(cell).items()}
    assert wandb.summary(finished) == pytest.approx(expected)


def test_mlflow_reads_every_value_back(publish, cells: dict[str, Any], finished: FinishedRun) -> None:
    where = publish("mlflow", uri="store")
    from mlflow import MlflowClient

    client = MlflowClient(Path("store").absolute().as_uri())
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.info.run_id in where
    assert logged.info.status == "FAILED", "it has a void cell"
    expected = {}
    for name, cell in cells.items():
        key = name.replace("+", "_")
        expected |= {key if part == "value" else f"{key}.{part}": value for part, value in numbers(cell).items()}
    assert logged.data.metrics == pytest.approx(expected)
    assert logged.data.params["images.digest"] == finished.facts["images"]["digest"]
    assert "run/run.json" in {artifact.path for artifact in client.list_artifacts(logged.info.run_id, "run")}


def test_names_that_mlflow_cannot_tell_apart_lose_no_value() -> None:
    mlflow = pytest.importorskip("bench_publishers.mlflow", exc_type=ImportError)
    names = ["a+b", "a_b", "a*b", "l" * 300, "l" * 299 + "x"]
    rows = tuple(((name,), (TableCell(float(place), math.nan, math.nan, 9),)) for place, name in enumerate(names))
    table = SimpleNamespace(name="t", header=("row", "value"), dimensions=1, percent=False, rows=rows)
    found = mlflow.values(SimpleNamespace(tables=[table]))
    assert sorted(value for key, value in found.items() if not key.endswith(".n")) == [0, 1, 2, 3, 4]
    assert len(found) == 2 * len(names)
    assert max(map(len, found)) <= 250
    assert all(re.fullmatch(r"[\w\-. :/]+", key) for key in found)


def test_mlflow_ignores_a_server_that_only_the_environment_names(publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://192.0.2.1:5000")
    assert publish("mlflow", files=False).endswith("in mlruns")
    assert Path("mlruns").is_dir()
