"""Some trials of every fault experiment; `python -m tests.faults --full` runs them all."""

from pathlib import Path

import pytest

from .experiments import ALL, Experiment
from .world import World

SLICES = {"bit-flip": 100, "truncation": 60, "fuzzed-suite": 100, "fuzzed-value": 100, "forgery": 12,
          "kill-operation": 12, "disk-full": 12,
          "kill-time": 5, "processes": 2, "hostile-name": 12, "command-line": 1, "plugin": 3}  # fmt: skip


@pytest.mark.parametrize("experiment", ALL, ids=lambda experiment: experiment.name)
def test_nothing_is_lost(experiment: Experiment, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    volume, count = experiment.volume(world), SLICES[experiment.name]
    for number in sorted({place * volume // count for place in range(count)}):
        assert experiment.once(world, number, seed=1) is None, f"trial {number}"
