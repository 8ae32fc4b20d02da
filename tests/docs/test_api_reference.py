"""The command in docs/plugins.md generates the API reference, and version 1 of the API is complete."""

import dataclasses
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench_core import hookspecs, testing, types

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pdoc")
    folder = tmp_path_factory.mktemp("reference")
    (command,) = re.findall(r"^pdoc (.*)$", PAGE, flags=re.MULTILINE)
    arguments = [sys.executable, "-m", "pdoc", *shlex.split(command)]
    process = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return folder / "site" / "bench_core"


def test_the_reference_has_every_public_name(site: Path) -> None:
    for module in (types, hookspecs, testing):
        text = (site / f"{module.__name__.split('.')[-1]}.html").read_text()
        names = getattr(module, "__all__", None) or [
            name
            for name, member in vars(module).items()
            if getattr(member, "__module__", "") == module.__name__ and not name.startswith("_")
        ]
        assert names
        for name in names:
            assert f'id="{name}"' in text, f"{module.__name__}.{name}"


STABLE = {  # version 1; removing or changing a name needs a new API_VERSION
    "Budget": "norm eps step_size steps random_start loss targeted",
    "Examples": "images labels ids targets",
    "Cost": "forwards backwards forwards_once backwards_once",
    "Step": "index images",
    "Score": "name value low high n labels per_image",
    "AttackRecipe": "build summary parts join examples",
    "MetricRecipe": "build summary examples",
    "ModelRecipe": "build identity summary made_of examples card",
    "DataRecipe": "build summary examples",
    "ExecutorRecipe": "build summary remote examples",
}
HOOKS = {
    "bench_attacks": "", "bench_metrics": "", "bench_models": "", "bench_datasets": "", "bench_executors": "",
    "bench_run_started": "plan", "bench_cell_done": "job rows reason", "bench_run_finished": "result",
    "bench_render": "table format intervals", "bench_formats": "",
}  # fmt: skip
KIT = {"RULES", "Rule", "Subject", "Verdict", "applicable", "budget", "check", "examples", "judge", "network", "offers",
       "streams", "subjects", "trials"}  # fmt: skip


def test_version_1_of_the_api_is_complete() -> None:
    assert types.API_VERSION == 1
    for name, fields in STABLE.items():
        actual = {field.name: field for field in dataclasses.fields(getattr(types, name))}
        assert set(fields.split()) <= set(actual), name
        new = set(actual) - set(fields.split())
        required = [
            field for field in new if actual[field].default is actual[field].default_factory is dataclasses.MISSING
        ]
        assert not required, f"{name} requires {required}, which plugins of version 1 do not pass"
    for name, parameters in HOOKS.items():
        assert list(inspect.signature(getattr(hookspecs, name)).parameters) == parameters.split()
    assert set(testing.__all__) >= KIT
    for method in ("take", "normal", "uniform", "subsets"):
        assert hasattr(types.Streams, method)
