"""The pytest plugin: a test for every rule, which passes, fails, is skipped or expected to fail as the verdict is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest
from types import SimpleNamespace
from bench_core.registry import Origin
from bench_core.testing import pytest_plugin
from bench_core.types import AttackRecipe
from tests.conformance.test_wrong_attacks import Ascent, one_mask_of_the_first

class Frank(Ascent):
    deviations = {"batch_independence": "one mask for all"}

offered = {
    "right": AttackRecipe(lambda budget: Ascent(budget), "right"),
    "wrong": AttackRecipe(lambda budget: Ascent(budget, gradient=one_mask_of_the_first), "wrong"),
    "frank": AttackRecipe(lambda budget: Frank(budget, gradient=one_mask_of_the_first), "frank"),
}
plugin = SimpleNamespace(bench_attacks=lambda: offered)
pytest_plugin.installed().register(plugin, Origin("mine", "mine", "1", ""))

@pytest.mark.bench("NAME")
def test_rules(bench_rule):
    bench_rule()
"""


def outcome(tmp_path: Path, name: str) -> tuple[int, str]:
    (tmp_path / "test_rules.py").write_text(TESTS.replace("NAME", name))
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-p", "bench_core.testing.pytest_plugin", "-q", "-rfEsx"]
    command += ["-k", "batch_independence or found"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "OMP_NUM_THREADS": "1"}
    given = [*command, "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(given, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout


def test_a_right_one_passes(tmp_path: Path) -> None:
    code, printed = outcome(tmp_path, "right")
    assert code == 0, printed
    assert "2 passed" in printed


def test_a_wrong_one_fails_with_what_and_where_to_read(tmp_path: Path) -> None:
    code, printed = outcome(tmp_path, "wrong")
    assert code == 1
    assert "2 failed" in printed
    assert "attacked alone" in printed
    assert "docs/plugins.md#attacks-batch-independence" in printed
    assert "Traceback" not in printed


def test_what_is_declared_is_an_expected_failure_with_its_reason(tmp_path: Path) -> None:
    code, printed = outcome(tmp_path, "frank")
    assert code == 0, printed
    assert "2 xfailed" in printed
    assert "one mask for all; found: " in printed


def test_a_name_that_nobody_offers_fails_and_names_the_nearest(tmp_path: Path) -> None:
    code, printed = outcome(tmp_path, "rihgt")
    assert code == 1
    assert 'nothing is called "rihgt" (did you mean "right"?)' in printed
