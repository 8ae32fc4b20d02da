"""A submission whose scores count other runs of its author brings their distances along."""

import shutil
from pathlib import Path

import pytest

from bench_core import run
from bench_core.registry import Registry
from bench_core.runs.folder import OTHER_RUNS_FILE
from bench_core.submissions.check import check
from bench_core.submissions.contents import read_contents
from bench_core.submissions.unpack import unpacked

CHANGES = (
    ('clean = { recipe = "clean_accuracy" }', 'far = { recipe = "fooling_distance", norm = "l2" }'),
    ('norm = "linf"\neps = 0.1', 'norm = "l2"\neps = 4'),
    ("steps = 4", "steps = 20"),
    ("seed = 2", "seed = 30"),
)
BEST = """
[optimality.best]
value = "far.distance"
store = true
"""


@pytest.fixture
def counting(write_suite, registry: Registry, tmp_path: Path) -> Path:
    """The folder of a run that counts another one."""
    out = tmp_path / "results"
    attack = ('"PGD" = { recipe = "pgd" }', '"DDN" = { recipe = "ddn" }')
    run(write_suite(*CHANGES, attack, name="other"), out=out, executor="inline", registry=registry)
    made = run(write_suite(*CHANGES, name="mine", append=BEST), out=out, executor="inline", registry=registry)
    assert made.elsewhere
    moved = tmp_path / "moved"
    shutil.copytree(made.folder, moved)
    shutil.rmtree(out)
    return moved


def test_it_is_valid_without_the_other_runs(counting: Path, registry: Registry) -> None:
    with unpacked(counting) as opened:
        found = check(opened, read_contents(opened), registry)
    assert "the distances that other runs reached, because these are not in the submission (1)" in found.notes


def test_it_is_not_valid_without_their_distances(counting: Path, faults_of) -> None:
    (counting / OTHER_RUNS_FILE).unlink()
    (fault,) = faults_of(counting)
    assert f"{OTHER_RUNS_FILE}: cannot read the rows" in fault


def test_changed_distances_are_found(counting: Path, faults_of) -> None:
    (counting / OTHER_RUNS_FILE).write_bytes((counting / "rows.safetensors").read_bytes())
    assert "best.gap" in " ".join(faults_of(counting))
