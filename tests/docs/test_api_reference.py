"""The command in docs/plugins.md generates the API reference; version 1 of the API and of its parts is complete."""

import dataclasses
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench_attacks import api
from bench_core import hookspecs, publishing, testing, types

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pdoc")
    folder = tmp_path_factory.mktemp("reference")
    (command,) = re.findall(r"^pdoc (.*)$", PAGE, flags=re.MULTILINE)
    arguments = [sys.executable, "-m", "pdoc", *shlex.split(command)]
    process = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return folder / "site"


def test_the_reference_has_every_public_name(site: Path) -> None:
    for module in (types, hookspecs, publishing, testing, api):
        text = site.joinpath(*module.__name__.split(".")).with_suffix(".html").read_text()
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
    "bench_publishers": "",
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


PARTS = {  # the fields and methods of version 1, beside the names; removing or changing one needs a new API_VERSION
    "GradientAttack": "budget loss views pooling loss_weight extras tap preparation estimator filters surrogates "
    "warm_up step_rule stop goal only_step steepest clipped donors "
    "add_term add_views with_donors with_filters with_surrogates set_once",
    "WarmUp": "steps scale",
    "Query": "points plain backward at_tap loss data member weights separately",
    "Answer": "gradients values member_values logits features",
    "Outputs": "logits features data",
    "TermInputs": "delta image points clean",
    "Passes": "objective plain forwards plus",
    "RunState": "clean rng step_size momentum gradient members step donors",
    "StepRng": "uniform normal",
    "View": "count through check apply",
    "Loss": "value",
    "Term": "count uses_image uses_clean check points value",
    "Estimator": "passes init estimate",
    "Preparation": "passes prepare",
    "Filter": "init update",
    "StepRule": "check init move",
    "Tap": "check module",
    "Surrogate": "forwards check apply",
    "Stop": "check reached",
    "Goal": "uses_clean side report",
    "Momentum": "decay normalise init update",
    "ClassificationLoss": "name value",
    "Layer": "layer check module",
    "Neighbours": "offsets",
}
FUNCTIONS = {
    "recipe": "part small", "composed": "summary parts small", "join": "recipes", "unit": "gradient",
    "mean_unit": "gradient", "mean_units": "gradients", "per_image": "values like", "per_pixel": "length norm images",
    "members_of": "model", "classification_loss": "loss logits examples",
}  # fmt: skip
VALUES = {"API_VERSION", "BALLS", "LENGTHS", "Count", "Decay", "Depth", "Part", "Share"}


def test_version_1_of_the_parts_api_is_complete() -> None:
    assert api.API_VERSION == types.API_VERSION == 1
    assert set(api.__all__) == {*PARTS, *FUNCTIONS, *VALUES}
    for name, members in PARTS.items():
        offered = getattr(api, name)
        fields = {field.name for field in dataclasses.fields(offered)} if dataclasses.is_dataclass(offered) else set()
        missing = set(members.split()) - fields - set(dir(offered))
        assert not missing, f"{name}: {missing}"
        if getattr(offered, "_is_protocol", False):
            members_now = {each for each in vars(offered) if not each.startswith("_")}
            assert members_now <= set(members.split()), f"{name} requires more, which parts of version 1 do not have"
    for name, parameters in FUNCTIONS.items():
        assert list(inspect.signature(getattr(api, name)).parameters) == parameters.split()
    listed = re.findall(r"`(\w+)`", (api.__doc__ or "").partition("bench's parts")[0])
    assert set(api.__all__) - set(listed) == {"API_VERSION"}
