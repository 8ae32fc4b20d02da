"""A new metric is one new file: it is offered, and results of the other metrics stay valid."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bench_metrics
from bench_core.registry import discover

LIST = """
import json, sys
from bench_core.registry import discover
registry = discover()
offers = {name: registry.find("metrics", name, "", "") for name in registry.names("metrics")}
offered = {name: [offer.code, offer.recipe.summary, list(offer.recipe.examples)] for name, offer in offers.items()}
print(json.dumps({"offered": offered, "torch": "torch" in sys.modules}))
"""
METRIC = """
class Brightness:
    \"\"\"Mean brightness.

    More about it.
    \"\"\"

    def __init__(self, power: int = 1) -> None:
        self.power = power

METRIC = Brightness
EXAMPLES = [{"power": 2}]
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Copy the package of metrics."""
    source, copy = Path(bench_metrics.__file__).parent, tmp_path / "bench_metrics"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def listed(package: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "BENCH_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([sys.executable, "-c", LIST], env=environment, capture_output=True, text=True, check=False)


def test_a_new_file_is_offered_and_changes_no_other_metrics_digest(package: Path) -> None:
    before = json.loads(listed(package).stdout)
    (package / "brightness.py").write_text(METRIC)
    after = json.loads(listed(package).stdout)
    _, summary, examples = after["offered"].pop("brightness")
    assert (summary, examples) == ("Mean brightness.", [{"power": 2}])
    assert after["offered"] == before["offered"]
    assert len(before["offered"]) >= 21
    assert not after["torch"], "plugins are listed without torch"


def test_a_file_without_a_metric_is_one_line(package: Path) -> None:
    (package / "brightness.py").write_text("x = 1")
    process = listed(package)
    assert process.returncode != 0
    assert "bench_metrics.brightness: METRIC: found none (try METRIC = CLASS)" in process.stderr


def test_the_code_of_every_metric_can_be_traced() -> None:
    """The digest of a recipe that cannot be traced would cover its whole plugin."""
    offers = [offer for (kind, _), offer in discover().offers.items() if kind == "metrics"]
    metrics = [offer for offer in offers if offer.origin.plugin == "metrics"]
    assert metrics
    assert all(offer.code != offer.origin.source for offer in metrics)
