"""A worker computes while results are stored, and has its next task in time. What was reported as finished is there."""

import io
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench_core.executors import Limits, Outcome, Task, local
from bench_core.executors.local import Local, WorkerThread
from bench_core.executors.tasks import TaskQueue
from bench_core.executors.worker import received
from bench_core.store import Store
from tests.commands.test_cli import GOOD

from .processes import PATIENCE
from .test_claims import PLUGIN
from .test_workers import SPEC, install

LIMITS = Limits(seconds=PATIENCE)

# A worker that answers its first task, and then each only when it has the next one too, as long as there is one.
WAITS = """
import json, os, sys
print("ready", flush=True)
left = None
while line := left or sys.stdin.readline():
    task, left = json.loads(line), None
    if not task["spec"].get("first") and not task["spec"].get("last"):
        left = sys.stdin.readline()
    if task["spec"].get("dies"):
        os._exit(3)
    after = json.loads(left)["address"] if left else None
    print(json.dumps({"reason": f"before {after}", "usage": False, "size": None, "network": None}), flush=True)
"""

# The real worker, whose every task gives a bundle that is larger than a pipe.
LARGE = """
from bench_core.executors import Outcome, worker
worker.attempt = lambda _worker, task, _report: Outcome(task.address, bytes(2**20))
worker.main()
"""

# A run that ends as if it was killed: with a third result that is not stored, while more are computed.
RUN = """
import os, sys, time
from pathlib import Path
from bench_core import run
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, discover
from bench_core.store import Store

log, reported = Path(os.environ["BENCH_TEST_LOG"]), Path(os.environ["BENCH_TEST_LOG"] + ".reported")
store, stored = Store.put_all, []

def put_all(self, bundles):
    if not log.exists():  # the clean images
        return store(self, bundles)
    stored.append(bundles)
    limit = time.monotonic() + 300
    while len(log.read_text().split()) <= len(stored):
        if time.monotonic() > limit:
            os._exit(4)
        time.sleep(0.01)
    if len(stored) == 3:
        os._exit(9)
    store(self, bundles)

class Reports:
    @hookimpl
    def bench_cell_done(self, job, rows, reason):
        with reported.open("a") as file:
            file.write(f"{job.address} {job.labels.get('attack')} {','.join(job.job.batch.ids)}\\n")

Store.put_all = put_all
registry = discover()
registry.register(Reports(), Origin("reports", "tests", "1", "reports-source"))
run(sys.argv[1], out=sys.argv[2], executor="local", workers=1, registry=registry)
"""


def task(address: str, **spec: object) -> Task:
    return Task(address, SPEC | spec, (), LIMITS)


def reasons(outcomes: Sequence[Outcome]) -> dict[str, str | None]:
    return {outcome.address: outcome.reason for outcome in outcomes}


@pytest.fixture
def worker_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that sets the code of the workers."""

    def write(code: str) -> None:
        def start(_threads: int) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", code]
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)

        monkeypatch.setattr(local, "start_worker", start)
        monkeypatch.setattr(local, "BRIEF_SECONDS", PATIENCE)  # however slow the machine is

    return write


def test_a_worker_has_its_next_task_before_it_answers(worker_of: Callable[[str], None]) -> None:
    worker_of(WAITS)
    executor = Local(1)
    tasks = [task("a", first=True), task("b"), task("c"), task("d", last=True)]
    expected = {"a": "before None", "b": "before c", "c": "before d", "d": "before None"}
    assert reasons(list(executor.run(tasks))) == expected
    executor.close()


def test_a_worker_that_dies_costs_its_own_task_and_not_the_one_sent_ahead(worker_of: Callable[[str], None]) -> None:
    worker_of(WAITS)
    executor = Local(1)
    tasks = [task("a", first=True), task("b", dies=True), task("c"), task("d", last=True)]
    found = reasons(list(executor.run(tasks)))
    died = "the worker process died (exit code 3)"
    assert found == {"a": "before None", "b": died, "c": "before d", "d": "before None"}
    executor.close()


def test_large_tasks_and_results_cross_each_other(worker_of: Callable[[str], None]) -> None:
    """The driver writes a task while the worker writes a result, and neither fits into a pipe."""
    worker_of(LARGE)
    executor = Local(1)
    outcomes = list(executor.run([task(address, text="x" * 2**20) for address in "abcd"]))
    assert [len(outcome.bundle or b"") for outcome in outcomes] == [2**20] * 4
    executor.close()


class Noting:
    """A worker that notes each task with the one that it gets ahead."""

    stopped = False

    def __init__(self) -> None:
        self.noted: list[tuple[str, str | None]] = []

    def compute(self, task: Task, report: object, following: Task | None) -> Outcome:
        self.noted.append((task.address, following.address if following else None))
        return Outcome(task.address)


@pytest.mark.parametrize(
    ("seconds", "count", "more", "ahead"),
    [
        (PATIENCE, 1, {}, "cd"),
        (PATIENCE, 2, {}, "c"),
        (0.0, 1, {}, ""),
        (PATIENCE, 1, {"memory": 2**30}, ""),
        (PATIENCE, 1, {"limits": Limits(memory=2**30)}, ""),
    ],
)
def test_only_brief_tasks_of_which_every_worker_gets_one_are_sent_ahead(
    seconds: float, count: int, more: dict[str, Any], ahead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "BRIEF_SECONDS", seconds)
    worker, waiting = Noting(), TaskQueue([replace(task(address), **more) for address in "abcd"])
    thread = WorkerThread(worker, waiting, queue.SimpleQueue(), count)  # type: ignore[arg-type]
    thread.start()
    thread.thread.join(PATIENCE)
    assert [address for address, _ in worker.noted] == ["a", "b", "c", "d"], "the first shows how long tasks take"
    assert "".join(following or "" for _, following in worker.noted) == ahead


def test_results_are_stored_while_others_are_computed_and_a_crash_loses_nothing_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "counting", PLUGIN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("BENCH_TEST_LOG", str(tmp_path / "log"))
    attacks = GOOD.replace('"PGD" = { recipe = "pgd" }', '"counted" = { recipe = "counted" }')
    text = "\n".join(line for line in attacks.splitlines() if not line.startswith('"IR"'))
    text = text.replace("count = 4", 'count = 12\nrule = "all"')
    suite, out = tmp_path / "shared.toml", tmp_path / "out"
    suite.write_text(text.replace("[budgets.linf]", "[compute]\nmicro_batch = 2\n[budgets.linf]"))
    crashed = subprocess.run(
        [sys.executable, "-c", RUN, str(suite), str(out)], stderr=subprocess.PIPE, text=True, check=False
    )
    assert crashed.returncode == 9, f"a result waited in vain for the next to begin: {crashed.stderr}"
    lines = [line.split() for line in (tmp_path / "log.reported").read_text().splitlines()]
    finished = {address: ids for address, attack, ids in lines if attack == "counted"}
    assert len(finished) == 2
    assert all(Store(out / "store").get(address) for address, _, _ in lines)

    again = [sys.executable, "-m", "bench_core.cli", "run", str(suite), "--executor", "inline", "--out", str(out)]
    subprocess.run(again, stdout=subprocess.DEVNULL, check=True)
    computed = (tmp_path / "log").read_text().split()
    assert [computed.count(ids) for ids in finished.values()] == [1, 1], "what was reported is not computed again"
    assert len(set(computed)) == 6


def test_a_worker_has_parsed_what_was_sent_before_it_asks_for_it() -> None:
    messages = received(io.BytesIO(b'{"address": "a"}\n{"address": "b"}\n'))
    assert [messages.get(timeout=PATIENCE) for _ in range(3)] == [{"address": "a"}, {"address": "b"}, None]
