"""Every attack, metric, model and dataset of bench keeps the rules of the conformance kit."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKED_HERE = {"attacks", "metrics", "models"}
WITHOUT_WEIGHTS = {"timm", "robustbench"}  # their weights are downloaded


@pytest.mark.bench("attacks")
@pytest.mark.bench("metrics")
@pytest.mark.bench("models")
def test_own_plugins_keep_every_rule(bench_rule: Callable[[], None]) -> None:
    bench_rule()


def test_every_plugin_of_this_package_is_checked() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["bench"]
    bridges = {path.stem for path in (ROOT / "plugins/attacks/bench_attacks/bridges").glob("*.py")}
    publishers = {name for name, module in points.items() if module.startswith("bench_publishers.")}
    assert set(points) - bridges - publishers - WITHOUT_WEIGHTS - {"executors"} == CHECKED_HERE
