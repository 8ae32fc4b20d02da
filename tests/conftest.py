"""Fixtures for all tests: the installed plugins, the toys, and a small suite of the toys."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
from hypothesis import HealthCheck, settings

from bench_core.registry import Origin, Registry, discover

from .toys import ToyPlugin

# no test depends on how fast the machine is
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run each file in one process, so that its fixtures are built once. `--dist` overrides this."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.getvalue("dist") == "load" else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("needs_gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no NVIDIA GPU")


@pytest.fixture(scope="session")
def installed() -> Registry:
    """The registry of the installed plugins."""
    return discover()


@pytest.fixture
def toys() -> ToyPlugin:
    return ToyPlugin()


@pytest.fixture
def registry(toys: ToyPlugin) -> Registry:
    """The registry of the installed plugins and the toys."""
    found = discover()
    found.register(toys, Origin("toys", "tests", "1", "toys-source"))
    return found


SUITE = """
title = "toy"
profiles = ["toy"]
[data]
kind = "toy_images"
[images]
count = 12
rule = "all"
[compute]
micro_batch = 5
[models]
"A" = { recipe = "toy", seed = 1 }
"B" = { recipe = "toy", seed = 2 }
[budgets.linf]
norm = "linf"
eps = 0.1
step_size = 0.03
steps = 4
[attacks]
"PGD" = { recipe = "pgd" }
[metrics]
transfer = { recipe = "transfer" }
clean = { recipe = "clean_accuracy" }
[on.toy]
sources = ["A", ["A", "B"]]
targets = ["A", "B"]
[[tables]]
name = "main"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.success"
format = "percent"
mean = true
"""


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes the toy suite with some replacements and returns its path."""

    def write(*replacements: tuple[str, str], name: str = "toy", append: str = "") -> str:
        text = SUITE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / f"{name}.toml"
        path.write_text(text + append)
        return str(path)

    return write
