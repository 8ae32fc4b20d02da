"""A terminal that cannot show a character prints a question mark; it is no error."""

import os
import subprocess
import sys
from pathlib import Path

SUITE = """
title = "naïve — °"
profiles = ["embedded"]
[images]
count = 2
[budgets.linf]
norm = "linf"
eps = "8/255"
step_size = "8/255"
steps = 1
[attacks]
"Größe" = { recipe = "pgd" }
[metrics]
transfer = { recipe = "transfer" }
[on.embedded]
sources = ["ResNet-S"]
targets = ["ResNet-S", "VGG"]
[[tables]]
name = "main"
rows = ["attack"]
columns = ["target"]
value = "transfer.success"
"""


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "LANG": "C", "PYTHONUTF8": "0"}
    return subprocess.run(
        [sys.executable, "-m", "bench_core.cli", *arguments],
        cwd=folder,
        env=ascii_only,
        capture_output=True,
        check=False,
    )


def test_what_ascii_lacks_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE, encoding="utf-8")
    ran = bench(tmp_path, "run", "suite.toml", "--out", "runs")
    assert ran.returncode == 0, ran.stderr
    assert b"Gr??e" in ran.stdout
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("run.json"))
    for arguments in (("show", str(folder)), ("plan", "suite.toml"), ("plugins",), ("check", "pgd")):
        done = bench(tmp_path, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        assert b"error in bench" not in done.stderr
    shown = bench(tmp_path, "show", str(folder)).stdout
    assert b"na?ve ? ?" in shown
    assert b"Gr??e" in shown


def test_an_error_names_what_ascii_lacks_with_a_replacement(tmp_path: Path) -> None:
    done = bench(tmp_path, "run", "größe.toml")
    assert done.returncode == 2
    assert b"no such suite file" in done.stderr
