"""The reference of the interface is made from docstrings by one command, the one in docs/plugins.md."""

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
    given = [sys.executable, "-m", "pdoc", *shlex.split(command)]
    done = subprocess.run(given, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site" / "bench_core"


def test_every_public_name_is_in_it(site: Path) -> None:
    for module in (types, hookspecs, testing):
        text = (site / f"{module.__name__.split('.')[-1]}.html").read_text()
        names = getattr(module, "__all__", None) or [
            name
            for name, each in vars(module).items()
            if getattr(each, "__module__", "") == module.__name__ and not name.startswith("_")
        ]
        assert names
        for name in names:
            assert f'id="{name}"' in text, f"{module.__name__}.{name}"


STABLE = {  # of version 1; whatever goes from here, or changes its meaning, takes a new API_VERSION
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


def test_what_version_1_has_is_there() -> None:
    assert types.API_VERSION == 1
    for name, fields in STABLE.items():
        have = {field.name: field for field in dataclasses.fields(getattr(types, name))}
        assert set(fields.split()) <= set(have), name
        new = set(have) - set(fields.split())
        required = [each for each in new if have[each].default is have[each].default_factory is dataclasses.MISSING]
        assert not required, f"{name} asks for {required}, which no plugin of version 1 gives"
    for name, parameters in HOOKS.items():
        assert list(inspect.signature(getattr(hookspecs, name)).parameters) == parameters.split()
    assert set(testing.__all__) >= KIT
    for method in ("take", "normal", "uniform", "subsets"):
        assert hasattr(types.Streams, method)
