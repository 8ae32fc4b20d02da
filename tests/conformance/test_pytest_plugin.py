"""The pytest plugin: one test per rule, which passes, fails, is skipped or xfails according to the verdict."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest
from types import SimpleNamespace
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin
from bench_core.testing import pytest_plugin
from bench_core.types import AttackRecipe
from tests.conformance.ascent import Ascent
from tests.conformance.test_wrong_attacks import one_mask_of_the_first

class Frank(Ascent):
    deviations = {"batch_independence": "one mask for all"}

offered = {
    "right": AttackRecipe(lambda budget: Ascent(budget), "right"),
    "wrong": AttackRecipe(lambda budget: Ascent(budget, gradient=one_mask_of_the_first), "wrong"),
    "frank": AttackRecipe(lambda budget: Frank(budget, gradient=one_mask_of_the_first), "frank"),
}
plugin = SimpleNamespace(bench_attacks=hookimpl(lambda: offered))
pytest_plugin.installed().register(plugin, Origin("mine", "mine", "1", ""))

@pytest.mark.bench("right")
def test_right(bench_rule):
    bench_rule()

@pytest.mark.bench("wrong")
def test_wrong(bench_rule):
    bench_rule()

@pytest.mark.bench("frank")
def test_frank(bench_rule):
    bench_rule()

@pytest.mark.bench("rihgt")
def test_rihgt(bench_rule):
    bench_rule()
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the output of one run of pytest on all of them."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "test_rules.py").write_text(TESTS)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-p", "bench_core.testing.pytest_plugin", "-q", "-rA"]
    command += ["-k", "batch_independence or found", "-p", "no:cacheprovider", "-c", os.devnull]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "OMP_NUM_THREADS": "1"}
    command += ["--rootdir", str(folder), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def outcomes(printed: str, name: str) -> list[str]:
    """Return the summary lines of a test, an outcome first; it runs once under each norm."""
    return [line for line in printed.splitlines() if f"test_rules.py::test_{name}[" in line]


def test_a_right_one_passes(printed: str) -> None:
    assert [line.split()[0] for line in outcomes(printed, "right")] == ["PASSED"] * 2


def test_a_wrong_one_fails_with_the_reason_and_where_to_read(printed: str) -> None:
    assert [line.split()[0] for line in outcomes(printed, "wrong")] == ["FAILED"] * 2
    assert "when attacked alone" in printed
    assert "docs/plugins.md#attacks-batch-independence" in printed
    assert "Traceback" not in printed


def test_a_declared_deviation_is_an_expected_failure_with_its_reason(printed: str) -> None:
    lines = outcomes(printed, "frank")
    assert [line.split()[0] for line in lines] == ["XFAIL"] * 2
    assert all("one mask for all; found: " in line for line in lines)


def test_an_unknown_name_fails_and_the_nearest_is_named(printed: str) -> None:
    assert [line.split()[0] for line in outcomes(printed, "rihgt")] == ["FAILED"]
    assert 'nothing is called "rihgt" (did you mean "right"?)' in printed
