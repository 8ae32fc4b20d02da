"""All executors give the same results; a worker that dies costs only its own job."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench_core import run
from bench_core.executors import Task
from bench_core.executors.local import Local
from bench_core.executors.settings import worker_environment
from bench_core.executors.watchdog import MEASURABLE
from tests.commands.test_cli import GOOD

PLUGIN = """
import os
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

def crash(budget):
    os._exit(7)

@hookimpl
def bench_attacks():
    return {"crash": AttackRecipe(crash, "ends the process that builds it in a worker")}
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(GOOD.replace("count = 4", "count = 6\n[compute]\nmicro_batch = 2"))
    return str(path)


def test_one_worker_two_workers_and_this_process_give_the_same_bits(suite: str, tmp_path: Path) -> None:
    ways = {"inline": {"executor": "inline"}, "one": {"workers": 1}, "two": {"workers": 2}}
    folders = [run(suite, out=tmp_path / name, **options).folder for name, options in ways.items()]
    first, *others = [{p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()} for folder in folders]
    for other in others:
        assert {name for name in first if first[name] != other[name]} == set()


def test_tasks_are_plain_json(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Task] = []
    original = Local.run

    def recording(self, tasks):
        seen.extend(tasks)
        return original(self, tasks)

    monkeypatch.setattr(Local, "run", recording)
    run(suite, out=tmp_path)
    assert seen
    for task in seen:
        assert json.loads(json.dumps(task.spec)) == task.spec


def test_a_worker_that_dies_costs_only_its_own_job(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crasher.py").write_text(PLUGIN.replace("os._exit(7)", "return Crash()").replace(
        "def crash", "class Crash:\n    def __call__(self, *_):\n        os._exit(7)\n\ndef crash"))  # fmt: skip
    info = tmp_path / "crasher-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crasher\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[bench]\ncrasher = crasher\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    text = Path(suite).read_text().replace('"PGD" =', '"Crash" = { recipe = "crash" }\n"PGD" =')
    path = tmp_path / "crashing.toml"
    path.write_text(text)
    result = run(str(path), out=tmp_path / "crashing", workers=2)
    voids = {score.labels["attack"]: score.void for score in result.scores if score.void}
    assert set(voids) == {"Crash"}
    assert "the worker process died (exit code 7)" in voids["Crash"]
    sound = run(suite, out=tmp_path / "sound", workers=1)
    for attack in ("PGD", "IR"):
        ours, theirs = (r.arrays("transfer", attack=attack)["fooled"] for r in (result, sound))
        assert np.array_equal(ours, theirs)


def workers_of(pid: int) -> list[int]:
    """Return all descendants of a process, whichever of its threads started them."""
    children = [int(p) for file in Path(f"/proc/{pid}/task").glob("*/children") for p in file.read_text().split()]
    return [*children, *(descendant for child in children for descendant in workers_of(child))]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.slow)])
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_resumes_leaves_no_orphan_and_prints_the_same(
    signal_number: signal.Signals, executor: str, suite: str, tmp_path: Path
) -> None:
    path = tmp_path / "longer.toml"
    path.write_text(Path(suite).read_text().replace("count = 6", "count = 80").replace("samples = 1", "samples = 4"))
    if executor == "ray":
        pytest.importorskip("ray")
    command = [
        sys.executable, "-m", "bench_core.cli", "run", str(path), "--workers", "1", "--executor", executor, "--out"
    ]  # fmt: skip
    process = subprocess.Popen(
        [*command, str(tmp_path / "cut")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  (a shell makes its background jobs ignore it)
    )
    store = tmp_path / "cut" / "store"
    limit = time.monotonic() + 60
    while len(list(store.rglob("*.safetensors"))) < 5 and time.monotonic() < limit:
        time.sleep(0.02)
    children = workers_of(process.pid)
    os.kill(process.pid, signal_number)
    errors = process.communicate()[1]
    assert children
    assert process.returncode == (-9 if signal_number == signal.SIGKILL else 130), errors
    if signal_number == signal.SIGINT:
        assert re.fullmatch(r"bench: interrupted; finished results are stored, .*", errors.splitlines()[-1])
    kept = {p: p.stat().st_mtime_ns for p in store.rglob("*.safetensors")}
    assert kept
    subprocess.run([*command, str(tmp_path / "cut")], check=True, capture_output=True)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept, "a finished cell was computed again"
    subprocess.run([*command, str(tmp_path / "complete")], check=True, capture_output=True)
    cut, complete = ((tmp_path / way / "longer/embedded/tables/main.txt").read_bytes() for way in ("cut", "complete"))
    assert cut == complete
    limit = time.monotonic() + (90 if executor == "ray" else 20)  # Ray's agents need a minute to notice
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


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
