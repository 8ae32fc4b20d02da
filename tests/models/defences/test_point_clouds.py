"""Defences transform pictures, so a suite that defends a network on point clouds is refused before it runs."""

import pkgutil
from pathlib import Path

import pytest

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_core.registry import discover
from bench_core.run_suite import resolve_suite
from bench_models import defences

OPTIONS = {"noise": ", sigma = 0.1", "resize_pad": ", enlarge = 1.3"}
SUITE = """
title = "clouds"
profiles = ["none"]
[data]
kind = "{data}"
[models]
"N" = {{ recipe = "{recipe}", name = "{network}" }}
"D" = {{ recipe = "defended:{name}", base = "N"{options} }}
[attacks]
"PGD" = {{ recipe = "pgd" }}
[metrics]
transfer = {{ recipe = "transfer" }}
[on.none]
sources = ["N"]
targets = ["{target}"]
images = {{ count = 4 }}
budgets.linf = {{ norm = "linf", eps = 0.1, step_size = 0.05, steps = 2 }}
[[tables]]
name = "main"
rows = ["attack"]
columns = ["target"]
value = "transfer.last"
"""


def resolve_defended(folder: Path, name: str, data: str, recipe: str, network: str, target: str = "D") -> None:
    options = OPTIONS.get(name, "")
    text = SUITE.format(data=data, recipe=recipe, network=network, name=name, options=options, target=target)
    (folder / "clouds.toml").write_text(text)
    resolve_suite(load_suite(str(folder / "clouds.toml")), discover())


@pytest.mark.parametrize(
    "name", sorted(module.name for module in pkgutil.iter_modules(defences.__path__) if module.name != "purifier")
)
def test_point_clouds_are_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_defended(tmp_path, name, "shapes", "pointcloud", "PointNet2")
    (fault,) = caught.value.faults
    assert fault.key == "models.D"
    assert str(fault).endswith("found point clouds, but defences transform pictures (try the network itself)")
    resolve_defended(tmp_path, name, "embedded", "embedded", "ResNet-S")


def test_a_defence_that_is_not_used_is_not_refused(tmp_path: Path) -> None:
    resolve_defended(tmp_path, "jpeg", "shapes", "pointcloud", "PointNet2", target="N")
