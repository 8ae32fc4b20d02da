"""A run that is interrupted or killed leaves no process behind, keeps what finished, and continues where it stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import run
from bench_core.result import Result
from tests.faults.installed import HANGING, install

from .processes import wait_until, workers_of

INTERRUPTED = (
    "bench: interrupted; finished results are stored, but no image is complete, so {} has no result yet, run the same "
    "command to continue"
)
CASES = [
    ("local", signal.SIGKILL, -signal.SIGKILL),
    ("local", signal.SIGINT, 130),
    ("local", signal.SIGTERM, 128 + signal.SIGTERM),
    ("inline", signal.SIGTERM, 128 + signal.SIGTERM),
    ("local", signal.SIGHUP, 128 + signal.SIGHUP),
    pytest.param("ray", signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow),
    pytest.param("ray", signal.SIGINT, 130, marks=pytest.mark.slow),
]


@pytest.fixture
def suite(write_suite: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The toy suite with an attack that comes last and hangs in its first job."""
    install(tmp_path / "plugins", monkeypatch)
    return write_suite(("[metrics]", '"Hangs" = { recipe = "hangs_once" }\n[metrics]'))


def ignore_nothing() -> None:
    """Undo that a shell makes its background jobs ignore SIGINT, and nohup its command SIGHUP."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def bundles(out: Path) -> dict[Path, int]:
    """Return the stored files with the time when each was written."""
    return {path.relative_to(out): path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}


def tables(result: Result) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (result.folder / "tables").iterdir()}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize(("executor", "signal_sent", "code"), CASES)
def test_a_stopped_run_leaves_no_orphan_and_continues_where_it_stopped(
    executor: str, signal_sent: signal.Signals, code: int, suite: str, tmp_path: Path
) -> None:
    if executor == "ray":
        pytest.importorskip("ray")
    cut, sound = tmp_path / "cut", tmp_path / "sound"
    command = [sys.executable, "-m", "bench_core.cli", "run", suite, "--executor", executor, "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--out", str(cut)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ignore_nothing,  # noqa: PLW1509
    )
    hangs = tmp_path / "plugins" / HANGING
    wait_until(lambda: (hangs.exists() and len(bundles(cut)) >= 3) or process.poll() is not None)
    workers = workers_of(process.pid)
    os.kill(process.pid, signal_sent)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    assert out == ""
    assert "Traceback" not in errors
    if signal_sent != signal.SIGKILL:
        assert errors.splitlines()[-1] == INTERRUPTED.format(cut / "toy" / "toy")
    assert bool(workers) == (executor != "inline")
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))

    kept = bundles(cut)
    assert len(kept) >= 3
    continued = run(suite, out=cut, executor="inline")
    assert continued.complete
    now = bundles(cut)
    assert {path: now.get(path) for path in kept} == kept, "a finished result was computed again"
    assert tables(continued) == tables(run(suite, out=sound, executor="inline"))
    assert set(bundles(sound)) == set(now) > set(kept), "the rest was computed, and nothing twice"


@pytest.mark.skipif(sys.platform != "linux", reason="closes a pseudo-terminal, which ends otherwise elsewhere")
def test_a_closed_terminal_stops_a_run_as_ctrl_c_does(suite: str, tmp_path: Path) -> None:
    import fcntl
    import pty
    import termios

    def take_terminal() -> None:
        ignore_nothing()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    ours, terminal = pty.openpty()
    out = tmp_path / "cut"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench_core.cli", "run", suite, "--executor", "inline", "--out", str(out)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509
    )
    os.close(terminal)
    drained = threading.Thread(target=lambda: drain(ours), daemon=True)
    drained.start()
    wait_until(lambda: (tmp_path / "plugins" / HANGING).exists() or process.poll() is not None)
    os.close(ours)
    assert process.wait(timeout=120) == 128 + signal.SIGHUP


def drain(terminal: int) -> None:
    """Read what a process writes to its terminal until it is closed."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 4096):
            pass
