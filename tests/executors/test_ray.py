"""Ray gives the results of the other executors; a lost worker or node costs only its own cells."""

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench_core import run
from bench_core.errors import UsageError
from bench_core.executors import ray_cluster
from bench_core.executors.tasks import TaskQueue
from bench_core.registry import discover
from tests.commands.test_cli import GOOD

from .processes import PATIENCE
from .test_workers import install

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # before ray is imported: the clusters of these tests have no token
ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

DIES = """
import os, signal
from dataclasses import dataclass
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

@dataclass(frozen=True)
class Dies:
    folder: str
    times: int

    def __call__(self, model, examples, rng):
        for place in range(self.times):
            try:
                open(f"{self.folder}/{place}", "x").close()
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        yield examples.images

def dies(budget, folder: str = "", times: int = 1):
    return Dies(folder, times)

@hookimpl
def bench_attacks():
    return {"dies": AttackRecipe(dies, "is killed a number of times")}
"""
WAITS = """
import os, time
from dataclasses import dataclass
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

@dataclass(frozen=True)
class Waits:
    file: str

    def __call__(self, model, examples, rng):
        yield examples.images
        for _ in range(3000):
            if os.path.exists(self.file):
                break
            time.sleep(0.1)
        yield examples.images

def waits(budget, file: str = ""):
    return Waits(file)

@hookimpl
def bench_attacks():
    return {"waits": AttackRecipe(waits, "waits for a file after its first step")}
"""
ERRORS = [
    ({"address": "nowhere"}, "no address of a cluster (try local, auto, HOST:PORT)"),
    ({"address": "127.0.0.1:{closed}"}, "no Ray cluster answers there"),
    ({"gpsu": 1}, 'unknown key (did you mean "gpus"?)'),
    ({"cpus": -1}, "greater than or equal to 0"),
]


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(
        GOOD.replace("[budgets.linf]", "[compute]\nmicro_batch = 2\n[budgets.linf]").replace("count = 4", "count = 12")
    )
    return str(path)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A cluster whose head has no CPU, with two nodes of one CPU each. Yields the cluster and the second node."""
    monkeypatch.setattr(ray_cluster, "HEALTH_SECONDS", PATIENCE)
    head = {"num_cpus": 0, "include_dashboard": False, "wait": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        second = [cluster.add_node(num_cpus=1, wait=False) for _ in range(2)][1]
        cluster.wait_for_nodes(PATIENCE)
        yield cluster, second
    finally:
        ray.shutdown()
        cluster.shutdown()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_nodes_give_the_bits_of_one_process_and_faults_are_reported_before_the_work(
    suite: str, tmp_path: Path, two_nodes, puts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = two_nodes[0].address
    with pytest.raises(UsageError, match=r"asks for CPU 1, GPU 0.5, and no node .* \(its nodes: CPU 0, .*; CPU 1, no"):
        run(suite, out=tmp_path / "ray", executor="ray", executor_options={"address": address, "gpus": 0.5})
    ours = run(suite, out=tmp_path / "ray", executor="ray", executor_options={"address": address}).folder
    assert set(puts.values()) == {1}
    assert not ray.is_initialized()
    assert files(ours) == files(run(suite, out=tmp_path / "inline", executor="inline").folder)

    install(tmp_path / "here", "only_here", DIES)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    with pytest.raises(UsageError, match=r"node .*: the plugin only_here is missing there \(not installed\)"):
        run(suite, out=tmp_path / "new", executor="ray", executor_options={"address": address})


def test_shares_of_jobs_are_reported_while_they_are_computed(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack goes on when its first share has arrived here, so that the test does not depend on speed."""
    install(tmp_path / "here", "waits", WAITS)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    arrived = tmp_path / "arrived"
    reports: list[tuple[str, float]] = []
    original = TaskQueue.of

    def recorded(tasks: Any) -> TaskQueue:
        queue = original(tasks)

        def report(address: str, share: float) -> None:
            reports.append((address, share))
            if 0 < share < 1:
                arrived.touch()

        queue.report = report
        return queue

    monkeypatch.setattr(TaskQueue, "of", recorded)
    path = Path(suite)
    path.write_text(path.read_text().replace('recipe = "pgd"', f'recipe = "waits", file = "{arrived}"'))
    result = run(str(path), out=tmp_path / "out", executor="ray", workers=1)
    assert result.complete, result.voids
    assert arrived.exists()
    assert any(0 < share < 1 for _, share in reports)


@pytest.mark.parametrize(("options", "expected"), ERRORS)
def test_a_mistake_in_the_options_is_reported_before_the_work(
    options: dict, expected: str, suite: str, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening, so connections are refused
        port = closed.getsockname()[1]
        filled = {k: v.format(closed=port) if isinstance(v, str) else v for k, v in options.items()}
        with pytest.raises(UsageError) as raised:
            run(suite, out=tmp_path, executor="ray", executor_options=filled)
    assert expected in str(raised.value)
    assert not ray.is_initialized()


@pytest.mark.slow
def test_one_two_and_four_workers_give_the_same_bits(suite: str, tmp_path: Path, puts: Counter[str]) -> None:
    sound = files(run(suite, out=tmp_path / "inline", executor="inline").folder)
    for workers in (1, 2, 4):
        puts.clear()
        assert files(run(suite, out=tmp_path / str(workers), executor="ray", workers=workers).folder) == sound
        assert set(puts.values()) == {1}


@pytest.mark.slow
def test_a_lost_node_costs_only_its_own_cells(suite: str, tmp_path: Path, two_nodes, puts: Counter[str]) -> None:
    cluster, second = two_nodes
    sound = files(run(suite, out=tmp_path / "inline", executor="inline").folder)
    puts.clear()
    seen: list[int] = []

    class Remover:
        """Removes the second node during the attacks, from the driver's own thread."""

        def stage(self, name, total):
            @contextmanager
            def entered():
                yield lambda amount: self.advance(name)

            return entered()

        def advance(self, name):
            seen.append(len(ray.nodes()))
            if name == "attacks" and second in cluster.worker_nodes:
                cluster.remove_node(second, allow_graceful=False)

    ours = run(
        suite, out=tmp_path / "ray", executor="ray", executor_options={"address": cluster.address}, progress=Remover()
    )
    assert second not in cluster.worker_nodes
    assert files(ours.folder) == sound
    assert set(puts.values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize(("times", "void"), [(1, False), (99, True)])
def test_the_task_of_a_killed_worker_is_retried_a_few_times(
    times: int, void: bool, suite: str, tmp_path: Path, puts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "here", "dies", DIES)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "here"), os.environ.get("PYTHONPATH", "")]))
    marks = tmp_path / "marks"
    marks.mkdir()
    text = Path(suite).read_text().replace(
        '"PGD" =', f'"Dies" = {{ recipe = "dies", folder = "{marks}", times = {times} }}\n"PGD" ='
    )  # fmt: skip
    path = tmp_path / "dying.toml"
    path.write_text(text)
    ours = run(str(path), out=tmp_path / "ray", executor="ray", workers=2, registry=discover())
    assert len(list(marks.iterdir())) >= min(times, 3)
    assert set(puts.values()) == {1}
    voids = {score.labels["attack"]: score.void for score in ours.scores if score.void}
    if void:
        assert set(voids) == {"Dies"}
        assert "the worker process died 3 times" in voids["Dies"]
    else:
        assert files(ours.folder) == files(run(str(path), out=tmp_path / "inline", executor="inline").folder)


def test_listing_plugins_imports_no_ray() -> None:
    code = (
        "import sys; from bench_core.registry import Registry, discover; assert 'ray' in discover().names('executors')"
    )
    done = subprocess.run([sys.executable, "-c", f"{code}; sys.exit('ray' in sys.modules)"], check=False)
    assert done.returncode == 0
