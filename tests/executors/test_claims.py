"""Processes that run one suite on one store share its jobs; the claims of a killed process are taken over."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench_core.executors import Task, claims
from bench_core.executors.claims import NAME, STALE_SECONDS, Claims, is_stale
from bench_core.executors.tasks import TaskQueue
from bench_core.store import Store
from tests.commands.test_cli import GOOD

ADDRESSES = [f"{number:02x}" * 32 for number in range(4)]
TASKS = [Task(address, {}, ("cell",)) for address in ADDRESSES]
LONG = 120.0  # seconds that a test waits at most for another process

PLUGIN = """
import os, time
from pathlib import Path
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

class Counted:
    def __call__(self, model, examples, rng):
        log = Path(os.environ["BENCH_TEST_LOG"])
        with log.open("a") as file:
            file.write(",".join(examples.ids) + "\\n")
        while os.environ.get("BENCH_TEST_HANG"):
            time.sleep(0.1)
        yield examples.images

@hookimpl
def bench_attacks():
    return {"counted": AttackRecipe(lambda budget: Counted(), "writes down which images it attacks")}
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_job_is_claimed_once_until_it_is_released(store: Store) -> None:
    ours, theirs = Claims(store), Claims(store)
    assert ours.claim(ADDRESSES[0])
    assert not theirs.claim(ADDRESSES[0])
    assert theirs.claim(ADDRESSES[1])
    ours.release(ADDRESSES[0])
    assert not store.folder(ADDRESSES[0]).exists(), "nothing was stored"
    assert theirs.claim(ADDRESSES[0])
    theirs.close()
    assert ours.claim(ADDRESSES[0])
    assert ours.claim(ADDRESSES[1])
    ours.close()


@pytest.mark.parametrize("how", ["its process is dead", "it was not touched for long"])
def test_a_stale_claim_is_taken_over(how: str, store: Store) -> None:
    path = store.folder(ADDRESSES[0]) / NAME
    path.parent.mkdir(parents=True)
    if how == "its process is dead":
        path.write_text(json.dumps({"host": claims.platform.node(), "pid": dead_process()}))
    else:
        path.write_text(json.dumps({"host": "another machine", "pid": 1}))
        assert not is_stale(path)
        assert not Claims(store).claim(ADDRESSES[0])
        past = time.time() - 2 * STALE_SECONDS
        os.utime(path, (past, past))
    assert is_stale(path)
    ours = Claims(store)
    assert ours.claim(ADDRESSES[0])
    assert not Claims(store).claim(ADDRESSES[0])
    ours.close()


def test_a_claim_is_touched_while_it_is_in_use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "TOUCH_SECONDS", 0.01)
    ours = Claims(store)
    ours.claim(ADDRESSES[0])
    path = store.folder(ADDRESSES[0]) / NAME
    os.utime(path, (0, 0))
    limit = time.monotonic() + LONG
    while path.stat().st_mtime == 0 and time.monotonic() < limit:
        time.sleep(0.01)
    assert path.stat().st_mtime > 0
    ours.close()


def test_a_queue_leaves_out_what_another_process_computes_or_has_stored(store: Store) -> None:
    ours, theirs, stored = Claims(store), Claims(store), {ADDRESSES[2]}
    theirs.claim(ADDRESSES[0])
    queue = TaskQueue(TASKS, ours, lambda task: task.address in stored)
    taken = [queue.take(), queue.take(), queue.take()]
    assert [task and task.address for task in taken] == [ADDRESSES[1], ADDRESSES[3], None]
    assert list(queue.stored) == [ADDRESSES[2]]
    assert not queue.exhausted, "the claimed one may still fail there"
    theirs.release(ADDRESSES[0])
    assert queue.take() == TASKS[0]
    assert queue.exhausted
    ours.close()


def test_a_queue_is_a_sequence_for_executors_that_know_nothing_of_claims() -> None:
    queue = TaskQueue(TASKS)
    assert isinstance(queue, Sequence)
    assert list(queue) == TASKS
    assert len(queue) == len(TASKS)
    assert list(queue.drain()) == TASKS


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that runs a suite with a plugin that writes down what it computes."""
    (tmp_path / "counting.py").write_text(PLUGIN)
    info = tmp_path / "counting-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[bench]\ncounting = counting\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("BENCH_TEST_LOG", str(tmp_path / "log"))
    suite = tmp_path / "shared.toml"
    attacks = GOOD.replace('"PGD" = { recipe = "pgd" }', '"counted" = { recipe = "counted" }')
    kept = [line for line in attacks.splitlines() if not line.startswith('"IR"')]
    text = "\n".join(kept).replace("count = 4", 'count = 12\nrule = "all"')
    suite.write_text(text.replace("[budgets.linf]", "[compute]\nmicro_batch = 2\n[budgets.linf]"))
    command = [sys.executable, "-m", "bench_core.cli", "run", str(suite), "--executor", "inline"]
    return [*command, "--out", str(tmp_path / "out")]


def computed(tmp_path: Path) -> list[str]:
    """Return the images of each job that has begun."""
    return (tmp_path / "log").read_text().split() if (tmp_path / "log").exists() else []


@pytest.mark.slow
def test_two_runs_of_one_suite_compute_each_job_once(command: list[str], tmp_path: Path) -> None:
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    for each in runs:
        _, errors = each.communicate()
        assert each.returncode == 0, errors.decode()
    done = computed(tmp_path)
    assert len(done) == len(set(done)) == 6
    assert not list((tmp_path / "out").rglob(NAME))


def test_the_jobs_of_a_killed_run_are_computed_by_the_other(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_TEST_HANG", "1")
    killed = started(command, tmp_path / "killed")
    try:
        wait_for(1, tmp_path, killed)
        assert len(list((tmp_path / "out").rglob(NAME))) == 1, "it has claimed what it computes"
        monkeypatch.delenv("BENCH_TEST_HANG")
        other = started(command, tmp_path / "other")
        wait_for(6, tmp_path, other)
        assert len(set(computed(tmp_path))) == 6, "what is claimed is left to its owner"
    finally:
        killed.kill()
        killed.wait()
    assert other.wait() == 0, (tmp_path / "other").read_text()
    assert len(computed(tmp_path)) == 7, "only the job that was lost is computed again"
    assert len(set(computed(tmp_path))) == 6


def started(command: list[str], errors: Path) -> subprocess.Popen[bytes]:
    with errors.open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)


def wait_for(jobs: int, tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many jobs have begun, however long it takes to import torch: minutes, on a busy machine."""
    while len(computed(tmp_path)) < jobs and process.poll() is None:
        time.sleep(0.1)
    assert process.poll() is None, "ended early"
