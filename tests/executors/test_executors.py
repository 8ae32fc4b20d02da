"""All executors give the same results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench_core import run
from bench_core.executors import Task
from bench_core.executors.inline import Inline
from bench_core.executors.settings import worker_environment
from bench_core.executors.watchdog import MEASURABLE
from tests.commands.test_cli import GOOD


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(GOOD.replace("count = 4", "count = 6").replace("[budgets", "[compute]\nmicro_batch = 2\n[budgets"))
    return str(path)


def test_one_worker_two_workers_and_this_process_give_the_same_bits(suite: str, tmp_path: Path) -> None:
    ways = {"inline": {"executor": "inline"}, "one": {"workers": 1}, "two": {"workers": 2}}
    folders = [run(suite, out=tmp_path / name, **options).folder for name, options in ways.items()]
    first, *others = [{p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()} for folder in folders]
    for other in others:
        assert {name for name in first if first[name] != other[name]} == set()


def test_tasks_are_plain_json(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Task] = []
    original = Inline.run

    def recording(self, tasks):
        seen.extend(tasks)
        return original(self, tasks)

    monkeypatch.setattr(Inline, "run", recording)
    run(suite, out=tmp_path, executor="inline")
    assert seen
    for task in seen:
        assert json.loads(json.dumps(task.spec)) == task.spec


def test_torchs_settings_are_restored_after_a_run(suite: str, tmp_path: Path) -> None:
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    run(suite, out=tmp_path, executor="inline")
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_the_users_own_memory_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_environment(1)["MALLOC_TRIM_THRESHOLD_"] == str(2**30)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    assert worker_environment(1)["MALLOC_TRIM_THRESHOLD_"] == "1000"


@pytest.mark.skipif(not MEASURABLE, reason="needs /proc")
def test_freed_memory_is_returned_to_the_system() -> None:
    code = (
        "import os, numpy\nfrom bench_core.executors.watchdog import resident\n"
        "from bench_core.executors.hardware import give_back_memory\n"
        "held = [numpy.ones(2**17) for _ in range(200)]\nlast = numpy.ones(2**17)\ndel held\n"
        "before = resident(os.getpid())\ngive_back_memory()\nprint(before - resident(os.getpid()))"
    )
    environment = {**os.environ, **worker_environment(1)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100 * 2**20
