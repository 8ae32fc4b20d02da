"""The suite of point clouds on a user's ModelNet: its networks are trained, and the suite runs on the meshes."""

from pathlib import Path

import pytest

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_models.pointclouds import train
from tests.models.test_pointclouds import write_modelnet

NAMES = ("PointNet2", "PointNet2-adv")
SMALL = (
    "data.points=64",
    "metrics.orders.regions=8",
    "metrics.orders.orders=[0, 0.5, 1.0]",
    "metrics.orders.pairs=3",
    "budgets.linf.steps=2",
    'images.rule="all"',
)


def overrides(meshes: Path, networks: Path) -> list[str]:
    folders = [f'models.{name}.folder="{networks}"' for name in NAMES]
    return [f'data.root="{meshes}"', *folders, *SMALL]


def test_it_runs_on_modelnet(tmp_path: Path, installed: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    write_modelnet(tmp_path / "meshes")
    monkeypatch.setattr(train, "measure", lambda *_: {})
    for name in NAMES:
        monkeypatch.setitem(train.TRAININGS, name, train.Training(epochs=1, points=64, batch=4))
        train.train(name, tmp_path / "networks", seed=0, root=tmp_path / "meshes")
    suite = load_suite("robustness_pointcloud", "modelnet", overrides(tmp_path / "meshes", tmp_path / "networks"))
    result = run(suite, out=tmp_path / "out", registry=installed, executor="inline")
    assert result.complete
    changes = [s for s in result.scores if s.metric == "orders.change"]
    assert {s.labels["source"] for s in changes} == set(NAMES)
    assert {s.labels["order"] for s in changes} == {"0", "0.5", "1.0"}
    assert all(s.score.n == 4 for s in changes)


def test_missing_networks_are_reported_with_how_to_train_them(tmp_path: Path, installed: Registry) -> None:
    write_modelnet(tmp_path / "meshes")
    suite = load_suite("robustness_pointcloud", "modelnet", overrides(tmp_path / "meshes", tmp_path / "none"))
    with pytest.raises(UsageError, match=rf"models.PointNet2.folder: no networks in {tmp_path}/none \(train them: "):
        resolve_suite(suite, installed)
