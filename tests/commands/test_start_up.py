"""What commands import. Start-up is mostly imports, and a test must not measure time."""

import subprocess
import sys

import pytest

from bench_core.cli import COMMANDS, app_for

HEAVY = {"torch", "numpy", "pydantic", "safetensors", "pluggy", "tabulate"}


def imported(code: str) -> set[str]:
    """Return which of the heavy packages are imported after running code in a new process."""
    listing = "import sys; print('\\n', *sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", f"try:\n    {code}\nfinally:\n    {listing}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return HEAVY & set(done.stdout.split())


def test_importing_bench_imports_no_dependency() -> None:
    assert imported("import bench_core") == set()


def test_the_help_imports_no_dependency_but_typer() -> None:
    assert imported("from bench_core.cli import main; main(['--help'])") == set()


def test_listing_suites_imports_neither_numpy_nor_plugins() -> None:
    assert imported("from bench_core.cli import main; main(['suites'])") & {"torch", "numpy", "pluggy"} == set()


def test_the_api_is_complete() -> None:
    code = "import bench_core; [getattr(bench_core, name) for name in bench_core.__all__]"
    assert "pydantic" in imported(code)
    code = "import bench_core.run_suite; from bench_core import run; assert callable(run)"
    assert "numpy" in imported(code)


@pytest.mark.parametrize("name", COMMANDS)
def test_only_the_called_command_is_built(name: str) -> None:
    built = app_for(["--debug", name, "--help"])
    assert len(built.registered_commands) + len(built.registered_groups) == 1
    every = app_for(["--help"])
    assert len(every.registered_commands) + len(every.registered_groups) == len(COMMANDS)
