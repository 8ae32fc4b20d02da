"""SIGTERM ends a run like Ctrl-C, with 128 + 15 as exit code, and loses no finished result."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands.test_cli import GOOD


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_terminated_run_reports_it_and_can_be_resumed(executor: str, tmp_path: Path) -> None:
    path, store = tmp_path / "long.toml", tmp_path / "out" / "store"
    path.write_text(
        GOOD.replace("count = 4", "count = 80\n[compute]\nmicro_batch = 2").replace("samples = 1", "samples = 4")
    )
    command = [sys.executable, "-m", "bench_core.cli", "run", str(path), "--workers", "1", "--executor", executor]
    command += ["--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while len(list(store.rglob("*.safetensors"))) < 3 and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert out == ""
    expected = "bench: interrupted; finished results are stored, run the same command to continue"
    assert errors.splitlines()[-1] == expected
    assert "Traceback" not in errors
    kept = {file: file.stat().st_mtime_ns for file in store.rglob("*.safetensors")}
    assert len(kept) >= 3
    subprocess.run(command, check=True, capture_output=True)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept, "a finished result was computed again"
