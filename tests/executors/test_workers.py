"""Worker processes: each outcome is a bundle or one line with the reason, whatever the worker or a plugin does."""

import json
import math
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench_core.executors import Outcome, Task
from bench_core.executors import local as local_module
from bench_core.executors.inline import Inline
from bench_core.executors.local import Local, WorkerProcess, encode
from bench_core.executors.watchdog import describe_exit
from bench_core.registry import Registry

from .processes import PATIENCE

SPEC = {"environment": {"device": "cpu", "threads": 1}}

# What Python imports first in a process that has the folder on its path.
ECHO = """
import os, json, sys
if "bench_core.executors.worker" in " ".join(sys.orig_argv):
    print("a library that greets", end="{end}", flush=True)
    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        if task["spec"].get("exit") is not None:
            os._exit(task["spec"]["exit"])
        reason = repr(task["spec"].get("option"))
        print(json.dumps({{"reason": reason, "usage": False, "size": None, "network": None}}), flush=True)
    os._exit(0)
"""
DEAD = """
import os, sys
if "bench_core.executors.worker" in " ".join(sys.orig_argv):
    os._exit(7)
"""


@pytest.fixture
def at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that sets the code which every new Python process executes at its start."""

    def write(code: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    return write


def task(address: str = "a", **spec: object) -> Task:
    return Task(address, SPEC | spec, ())


def install(folder: Path, name: str, source: str) -> None:
    """Install a plugin in a folder, for tests that put the folder on the path."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[bench]\n{name} = {name}\n")


def by_address(outcomes: list[Outcome]) -> dict[str, str | None]:
    return {outcome.address: outcome.reason for outcome in outcomes}


def test_a_worker_that_dies_at_its_start_gives_every_task_one_line(at_start) -> None:
    at_start(DEAD)
    executor = Local(2)
    reasons = by_address(list(executor.run([task(address) for address in "abc"])))
    assert reasons == dict.fromkeys("abc", "no worker process can be started: the worker process died (exit code 7)")
    executor.close()


def test_a_worker_that_is_never_ready_is_killed_and_the_limit_is_named(
    at_start, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_start(DEAD.replace("os._exit(7)", "import time; time.sleep(600)"))
    monkeypatch.setattr(local_module, "START_SECONDS", 0.5)
    with WorkerProcess() as worker:
        reason = worker.compute(task()).reason
        assert reason == "no worker process can be started: ran past its time limit of 0.5 s"
        assert not worker.running


@pytest.mark.parametrize("end", ["\\n", ""])
def test_what_python_prints_at_a_workers_start_is_ignored(at_start, end: str) -> None:
    at_start(ECHO.format(end=end))
    with WorkerProcess() as worker:
        assert worker.compute(task(option=1)).reason == "1"


def test_a_worker_that_died_is_replaced_for_the_next_task(at_start) -> None:
    at_start(ECHO.format(end="\\n"))
    with WorkerProcess() as worker:
        assert worker.compute(task(exit=3)).reason == "the worker process died (exit code 3)"
        assert worker.compute(task(option=1)).reason == "1"
        assert worker.process
        worker.process.kill()
        worker.process.wait()
        assert worker.compute(task(option=2)).reason == "2", "a death between two tasks costs no task"


def test_nan_and_infinity_reach_a_worker_and_other_objects_are_reported(at_start) -> None:
    at_start(ECHO.format(end="\\n"))
    executor = Local(1)
    tasks = [task("nan", option=[math.nan, -math.inf]), task("object", option={1, 2}), task("after", option=3)]
    assert by_address(list(executor.run(tasks))) == {
        "nan": "[nan, -inf]",
        "object": "the job cannot be sent to a worker as JSON: Object of type set is not JSON serializable",
        "after": "3",
    }
    executor.close()


def test_a_worker_whose_driver_has_ended_says_nothing() -> None:
    command = [sys.executable, "-m", "bench_core.executors.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        assert worker.stdout
        assert worker.stderr
        worker.stdout.close()  # before it is ready, as if the driver was killed
        assert worker.wait(PATIENCE) == 1
        assert worker.stderr.read() == b""


def test_a_fault_of_the_driver_gives_a_reason_instead_of_waiting_for_ever() -> None:
    (outcome,) = Local(1).run([Task("a", {"environment": {}}, ())])
    assert outcome.reason
    assert outcome.reason.startswith("raised KeyError: 'threads'")


def test_without_tasks_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "start_worker", lambda _threads: pytest.fail("started"))
    executor = Local()
    assert list(executor.run([])) == []
    executor.close()
    assert list(Inline(Registry()).run([])) == []


def test_an_executor_can_be_closed_twice_and_used_again(at_start) -> None:
    at_start(ECHO.format(end="\\n"))
    executor = Local(1)
    for option in (1, 2):
        (outcome,) = executor.run([task(option=option)])
        assert outcome.reason == str(option)
        (worker,) = executor.idle
        executor.close()
        executor.close()
        assert not worker.running


def test_workers_are_kept_between_two_calls_and_killed_if_a_call_is_interrupted(at_start) -> None:
    at_start(ECHO.format(end="\\n"))
    executor = Local(1)
    list(executor.run([task(option=1)]))
    (worker,) = executor.idle
    process = worker.process
    outcomes = executor.run([task(option=1), task(option=2)])
    next(outcomes)
    assert worker.process is process
    outcomes.close()
    assert process
    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert executor.idle == []


@pytest.mark.parametrize("ready", [False, True])
def test_a_worker_that_is_stopped_before_its_start_never_computes(
    at_start, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    """Also on a busy machine, where it may be ready before it is killed."""
    at_start(ECHO.format(end="\\n"))
    start = local_module.start_worker

    def start_and_wait(threads: int) -> subprocess.Popen[bytes]:
        process = start(threads)
        assert select.select([process.stdout], [], [], PATIENCE)[0]
        return process

    if ready:
        monkeypatch.setattr(local_module, "start_worker", start_and_wait)
    worker = WorkerProcess()
    worker.stop()
    assert worker.compute(task(option=1)).reason == (
        "no worker process can be started: the worker process died (SIGKILL)"
    )
    assert not worker.running


def test_a_plugin_that_reads_standard_input_takes_no_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "reader", "print('a plugin that greets')\ninput()")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with WorkerProcess() as worker:
        reason = worker.compute(task(kind="attack")).reason
    assert reason
    assert reason.startswith("raised KeyError"), "the worker received the task, which is incomplete"


def test_a_task_is_one_line_of_json() -> None:
    line = encode(Task("a", {"text": "two\nlines"}, ("x",), state_file="s"))
    assert line.count(b"\n") == 1
    spec = {"text": "two\nlines"}
    sent = {"address": "a", "spec": spec, "wanted": ["x"], "state_file": "s", "memory": None}
    assert json.loads(line) == sent


@pytest.mark.parametrize(("code", "cause"), [(7, "exit code 7"), (-9, "SIGKILL"), (-40, "signal 40")])
def test_the_cause_of_a_death_is_named(code: int, cause: str) -> None:
    assert describe_exit(code) == f"the worker process died ({cause})"
