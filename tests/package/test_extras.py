"""A new environment with each extra alone, and with all: nothing clashes, and a missing library is reported.

Downloads gigabytes where nothing is cached, so slow; `python -m pytest -m slow tests/package/test_extras.py`.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [name for name in PROJECT["optional-dependencies"] if name not in ("test", "check", "docs", "release")]
NOT_IN_ALL = {"all", "mlflow"}  # mlflow needs a later requests than torchattacks can have
PLUGINS = {
    name for name in EXTRAS if name in PROJECT["entry-points"]["bench"]
}  # extras that bring a plugin by that name


def test_every_extra_but_those_for_developers_is_in_all() -> None:
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(everything.removeprefix("adversarial-bench[").removesuffix("]").split(",")) == set(EXTRAS) - NOT_IN_ALL


def command(*arguments: str | Path) -> str:
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_an_extra_alone_fits_together(extra: str, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:  # gigabytes, so not kept as tmp_path is
        programs = Path(folder) / "bin"
        command(sys.executable, "-m", "venv", folder)
        command(programs / "pip", "install", "--quiet", f"{ROOT}[{extra}]" if extra else ROOT)
        assert "No broken requirements found" in command(programs / "pip", "check")
        listed = json.loads(command(programs / "bench", "plugins", "--json"))
    missing = {entry["plugin"]: entry["reason"] for entry in listed["unavailable"]}
    there = {entry["plugin"] for entry in listed["offers"]}
    brought = PLUGINS - NOT_IN_ALL if extra == "all" else {extra} & PLUGINS
    assert brought <= there
    assert not brought & set(missing)
    for plugin in PLUGINS - there:
        assert f'(try pip install "adversarial-bench[{plugin}]")' in missing[plugin]
