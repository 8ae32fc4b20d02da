"""A cluster that requires a token is joined with it, and a rejected token is reported as such."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench_core.errors import UsageError
from bench_core.executors import ray_cluster
from bench_core.executors.ray import Ray
from bench_core.executors.ray_cluster import Request, authentication, connect, import_ray, probe
from bench_core.registry import Registry

from .processes import PATIENCE

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # before ray is imported: the clusters of these tests have no token
ray = pytest.importorskip("ray")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without a token, and an environment without one."""
    for name in ("RAY_AUTH_MODE", *ray_cluster.TOKENS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def keep_token(home: Path, token: str) -> None:
    (home / ".ray").mkdir(exist_ok=True)
    (home / ".ray" / "auth_token").write_text(64 * token)


def test_a_token_is_sent_if_there_is_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert authentication() == {}
    keep_token(home, "1")
    assert authentication() == {"RAY_AUTH_MODE": "token"}
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert authentication() == {}
    monkeypatch.delenv("RAY_AUTH_MODE")
    (home / ".ray" / "auth_token").unlink()
    for name in ray_cluster.TOKENS:
        monkeypatch.setenv(name, "1")
        assert authentication() == {"RAY_AUTH_MODE": "token"}
        monkeypatch.delenv(name)


def test_the_mode_of_ray_is_left_alone_once_it_is_imported(home: Path) -> None:
    """As in a notebook: a cluster that it starts would else want a token that the driver does not send."""
    keep_token(home, "1")
    assert import_ray() is ray
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken", "wants its token"),
        (b"WARNING Token authentication is disabled for this Ray cluster.", "no Ray cluster answers there"),
    ],
)
def test_a_rejected_token_is_not_reported_as_a_missing_cluster(
    output: bytes, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = SimpleNamespace(returncode=1, stdout=b"", stderr=output)
    monkeypatch.setattr(ray_cluster.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(UsageError, match=expected):
        probe("auto")


def test_a_ray_that_cannot_start_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UsageError, match=r"^--executor: ray: Ray cannot start here \(No space left on device\)$"):
        connect("local", 1)


@pytest.mark.parametrize("request_", [Request(10_000, 0), Request(1, 10_000)])
def test_a_request_larger_than_this_machine_is_rejected_before_a_cluster_is_started(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("started"))
    with pytest.raises(UsageError, match="no node of the cluster has that"):
        Ray(None, Registry(), "local", None, None).open(request_)


def test_a_started_cluster_has_room_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def init(num_cpus: int, **_: object) -> None:
        asked.append(num_cpus)
        raise OSError("enough")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UsageError, match="enough"):
        Ray(101, Registry(), "local", None, None).open(Request(0.5, 0))
    with pytest.raises(UsageError, match="enough"):
        Ray(99, Registry(), "local", None, None).open(Request(1.01, 0))
    assert asked == [51, 100]


@pytest.fixture
def head(home: Path) -> Iterator[str]:
    """Start the head of a cluster that requires the token of ones. Yields its address."""
    keep_token(home, "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--include-dashboard=false",
         f"--port={port}", "--num-cpus=1", "--object-store-memory=100000000", f"--temp-dir=/tmp/bench_ray_{port}"],
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        assert any("now block forever" in line for line in process.stdout)  # an earlier signal leaves processes
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        shutil.rmtree(f"/tmp/bench_ray_{port}", ignore_errors=True)


def join(address: str) -> subprocess.CompletedProcess[str]:
    """Join a cluster in a separate process, because ray reads its environment only once."""
    code = "import sys; from bench_core.executors.ray_cluster import connect; connect(sys.argv[1], 1)"
    return subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_cluster_that_requires_a_token_is_joined_with_it(home: Path, head: str) -> None:
    done = join(head)
    assert done.returncode == 0, done.stderr
    keep_token(home, "2")
    assert "wants its token, and this machine has another or none" in join(head).stderr
