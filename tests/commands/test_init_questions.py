"""`bench init` on a terminal asks for what no option answers, and can be left at each question."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .test_cli import bench  # noqa: F401

ROOT = Path(__file__).parents[2]
Call = Callable[..., tuple[int, str, list[str]]]
ON_TERMINAL = """
import fcntl, signal, termios
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes its background jobs ignore it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from bench_core.cli import main
main(["init"])
"""


def test_without_a_terminal_what_is_missing_is_listed(bench: Call, tmp_path: Path) -> None:  # noqa: F811
    code, _, errors = bench("init", "--name", "mine")
    assert code == 2
    assert [line.partition(" is missing")[0] for line in errors] == [
        "bench: bench init: --network:", "bench: bench init: --data:",
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_on_a_terminal_three_questions_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_core.commands import init

    asked: list[str] = []

    def prompt(text: str, default: str = "") -> str:
        asked.append(text)
        return default or "given"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(init.typer, "prompt", prompt)
    assert init.answers(None, None, None) == ("given", "given", "8/255")
    assert len(asked) == 3
    assert init.answers("a", "b", "c") == ("a", "b", "c")
    assert len(asked) == 3


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminal")
@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "end of input"])
def test_to_leave_at_a_question_writes_nothing_and_says_so(key: bytes, tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    path = os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT)])
    started = subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, stdin=theirs,
        stdout=theirs, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    asked = b""
    while b"net.py:build" not in asked:
        asked += os.read(ours, 1000)
    os.write(ours, b"net.py:build=net.pth\n")
    while b"Your images" not in asked:
        asked += os.read(ours, 1000)
    os.write(ours, key)
    _, errors = started.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert started.returncode == 130
    assert errors.strip() == "bench: interrupted; nothing was written"
    assert errors.strip() in errors.splitlines(), "below the line of the question"
    assert not list(tmp_path.iterdir())
