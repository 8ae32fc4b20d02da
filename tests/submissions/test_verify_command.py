"""`bench verify` as a command: its exit code is the verdict, and the report names the cells."""

from pathlib import Path

import pytest

from bench_core import registry as registry_module
from bench_core import run_suite
from bench_core.cli import app, guard
from bench_core.executors.inline import Inline
from bench_core.registry import Registry

from .test_verify import changed_record, flip


@pytest.fixture
def command(registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call the command with the toys, in this process; return its exit code, output and errors."""
    monkeypatch.setattr(registry_module, "discover", lambda: registry)
    monkeypatch.setattr(run_suite, "make_executor", lambda *_: (Inline(registry), False))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = guard(lambda: app(["verify", *arguments], prog_name="bench", standalone_mode=False), False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_exit_code_is_the_verdict(folder: Path, command) -> None:
    code, out, _ = command(str(folder), "--sample", "1", "--seed", "5")
    assert code == 0
    assert f"Verification of {folder}: identical" in out
    assert "seed 5" in out
    flip(folder, 7, source="A", target="B")
    code, out, _ = command(str(folder), "--sample", "1", "--format", "markdown")
    assert code == 1
    assert "### Verification of" in out
    assert "not equal" in out
    assert "fooled of 1 of 2 images" in out
    changed_record(folder, lambda record: record["environment"].update(processor="another"))
    code, out, _ = command(str(folder), "--sample", "1")
    assert code == 0
    assert "statistically equal" in out
    changed_record(folder, lambda record: record["models"]["A"]["identity"].update(seed=9))
    code, out, errors = command(str(folder))
    assert (code, out) == (2, "")
    assert "network A: other weights: not the same run" in errors


def test_without_a_seed_each_call_draws_another_sample(folder: Path, command) -> None:
    seeds = {command(str(folder))[1].partition("seed ")[2].split()[0] for _ in range(3)}
    assert len(seeds) == 3
