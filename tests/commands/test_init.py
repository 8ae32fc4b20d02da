"""`bench init` writes a suite, a CI job and a baseline that work together: the job's shell steps are run here.

The network is made: it classifies images by the nearest of a few templates, and can be damaged. Nothing is downloaded:
`gh`, `curl` and `pip` are stand-ins that write down how they were called.
"""

import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench_core.errors import Fault, UsageError

from .test_cli import bench  # noqa: F401

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
NETWORK = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
"""
STAND_INS = {
    "bench": f'#!/bin/sh\nexec "{sys.executable}" -m bench_core.cli "$@"\n',
    "gh": '#!/bin/sh\necho "$@" >> gh.txt\ncase "$*" in *--paginate*) cat earlier.txt;; esac\n',
    "curl": '#!/bin/sh\necho "$@" >> curl.txt\ncase "$*" in *per_page*) cat notes.json;; esac\n',
    "python": f'#!/bin/sh\nif [ "$2" = pip ]; then echo "$@" >> pip.txt; else exec "{sys.executable}" "$@"; fi\n',
}
Call = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a network, its images, and stand-ins of the programs that a CI job calls."""
    random = np.random.default_rng(0)
    templates = random.random((3, 1, 6, 6))
    labels = np.arange(60) % 3
    images = (0.8 * templates[labels] + 0.2 * random.random((60, 1, 6, 6))).astype(np.float32)
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    (tmp_path / "net.py").write_text(NETWORK)
    save_weights(tmp_path, templates)
    for name, text in STAND_INS.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def save_weights(folder: Path, templates: Any) -> None:
    weight = torch.from_numpy(np.asarray(templates, dtype=np.float32).reshape(3, 36)) - 0.5
    torch.save({"1.weight": 20 * weight, "1.bias": -20 * (weight * (weight / 2 + 0.5)).sum(1)}, folder / "net.pth")


def damage(folder: Path) -> None:
    save_weights(folder, np.random.default_rng(0).random((3, 1, 6, 6))[[1, 2, 0]])


@pytest.fixture
def ready(project: Path, bench: Call) -> Path:  # noqa: F811
    """Run `bench init` in the project, for both CI services."""
    answers = ["--network", "net.py:build=net.pth", "--data", "images.npz", "--eps", "4/255", "--images", "60"]
    code, printed, errors = bench("init", *answers)
    assert code == 0, errors
    assert "results/baselines/robust.ci.json" in printed.splitlines()
    return project


def shell(script: str, folder: Path, environment: Mapping[str, str], program: str = "bash") -> int:
    """Run the script of a CI step as the service does; return its exit code."""
    paths = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    python = os.pathsep.join([*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT)])
    given = {**os.environ, "PATH": paths, "PYTHONPATH": python, **environment}
    done = subprocess.run([program, "-e", "-c", script], cwd=folder, env=given, check=False, capture_output=True)
    (folder / "log.txt").open("ab").write(done.stdout + done.stderr)
    return done.returncode


def expression(text: str, values: Mapping[str, str]) -> str:
    """Evaluate the expressions of GitHub in a text: names, `||`, and `format` with one value."""

    def value(code: str) -> str:
        for alternative in code.split("||"):
            name = alternative.strip()
            call = re.fullmatch(r"format\('(.*)\{0\}', (.*)\)", name)
            found = call[1] + values[call[2]] if call else values[name]
            if found:
                return found
        return ""

    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: value(match[1]), str(text))


def run_action(folder: Path) -> int:
    """Run the shell steps of the action that `bench init` copied, with the inputs of the job that it wrote."""
    action = yaml.safe_load((folder / ".github/actions/bench/action.yml").read_text())
    job = yaml.safe_load((folder / ".github/workflows/robust.yml").read_text())["jobs"]["gate"]
    (given,) = [step["with"] for step in job["steps"] if step["uses"] == "./.github/actions/bench"]
    values = {
        "github.token": "secret", "github.repository": "me/mine", "github.event.pull_request.number": "7",
    }  # fmt: skip
    for name, entry in action["inputs"].items():
        values[f"inputs.{name}"] = expression(given.get(name, entry.get("default", "")), values)
    code = 0
    for step in action["runs"]["steps"]:
        if "run" not in step or code:
            continue
        output = folder / "output.txt"
        output.write_text("")
        environment = {name: expression(text, values) for name, text in step.get("env", {}).items()}
        extra = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
        code = shell(step["run"], folder, {**environment, **extra})
        for line in output.read_text().splitlines():
            name, _, text = line.partition("=")
            values[f"steps.{step['id']}.outputs.{name}"] = text
    return code


def test_the_suite_says_what_was_answered(ready: Path) -> None:
    suite = tomllib.loads((ready / "robust.toml").read_text())
    assert suite["models"]["mine"] == {"recipe": "python", "file": "net.py:build", "weights": "net.pth"}
    assert suite["on"]["ci"]["data"] == {"kind": "npz", "root": "images.npz"}
    assert suite["on"]["ci"]["budgets"]["linf"]["eps"] == "4/255"
    assert len((ready / ".github/workflows/robust.yml").read_text().partition("steps:\n")[2].splitlines()) <= 5


@pytest.mark.slow
def test_the_action_passes_then_fails_for_a_damaged_network_and_comments(ready: Path) -> None:
    (ready / "earlier.txt").write_text("")
    assert run_action(ready) == 0, (ready / "log.txt").read_text()
    assert (ready / "pip.txt").read_text() == "-m pip install --quiet adversarial-bench\n"
    assert "no worse" in (ready / ".bench/badge.svg").read_text()
    assert "--method POST repos/me/mine/issues/7/comments" in (ready / "gh.txt").read_text()
    damage(ready)
    (ready / "earlier.txt").write_text("31\n")
    assert run_action(ready) == 1, (ready / "log.txt").read_text()
    comment = (ready / ".bench/comment.md").read_text()
    assert comment.startswith("<!-- bench robust.ci -->\n")
    assert "Gate FAILED" in comment
    assert "regression" in comment
    assert "--method PATCH repos/me/mine/issues/comments/31" in (ready / "gh.txt").read_text()
    assert "::error title=bench regression::" in (ready / "log.txt").read_text()
    assert "· worse" in (ready / ".bench/badge.svg").read_text()


@pytest.mark.slow
def test_the_template_of_gitlab_does_the_same(ready: Path) -> None:
    (job,) = [yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())[".bench-gate"]]
    given = {
        "BENCH_SUITE": "robust.toml", "BENCH_COMMENT_TOKEN": "secret", "CI_MERGE_REQUEST_IID": "7",
        "CI_API_V4_URL": "api", "CI_PROJECT_ID": "3", **job["variables"],
    }  # fmt: skip
    (ready / "notes.json").write_text("[]")
    assert shell("\n".join(job["before_script"]), ready, given, "sh") == 0
    (script,) = job["script"]
    assert shell(script, ready, given, "sh") == 0, (ready / "log.txt").read_text()
    assert "--request POST" in (ready / "curl.txt").read_text()
    damage(ready)
    (ready / "notes.json").write_text(
        '[{"id": 4, "body": "hello"}, {"id": 5, "body": "<!-- bench robust.ci -->\\nold"}]'
    )
    assert shell(script, ready, given, "sh") == 1, (ready / "log.txt").read_text()
    assert "--request PUT" in (ready / "curl.txt").read_text().splitlines()[-1]
    assert "merge_requests/7/notes/5" in (ready / "curl.txt").read_text().splitlines()[-1]


def test_no_input_becomes_part_of_a_command() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert scripts
    assert not any("${{" in script for script in scripts)
    assert all(entry["description"] for entry in action["inputs"].values())


def test_a_mistake_in_an_answer_leaves_nothing(project: Path, bench: Call) -> None:  # noqa: F811
    before = sorted(project.rglob("*"))
    code, _, errors = bench("init", "--network", "net.py:bild", "--data", "images.npz")
    assert (code, len(errors)) == (2, 1)
    assert 'net.py has no "bild" (did you mean "build"?)' in errors[0]
    assert sorted(project.rglob("*")) == before
    (project / "drawn.py").write_text(NETWORK)
    before = sorted(project.rglob("*"))
    code, _, errors = bench("init", "--network", "drawn.py:build", "--data", "images.npz")
    assert code == 2
    assert "returns other weights at every call" in errors[0]
    assert [path for path in sorted(project.rglob("*")) if "__pycache__" not in path.parts] == before
    code, _, errors = bench("init", "--network", "net.py:build", "--data", "images.npz", "--name", "x" * 300)
    assert code == 2
    assert "(try letters, digits and -, say robust)" in errors[0]
    (project / "robust.toml").write_text("")
    code, _, errors = bench("init", "--network", "net.py:build=net.pth", "--data", "images.npz")
    assert (code, errors) == (2, ["bench: robust.toml: already exists (try another --name)"])


def test_a_hint_about_the_suite_names_the_option_of_init() -> None:
    from bench_core.commands.init import with_options

    shape = "images of 16 channels and 16 x 3 pixels"
    fault = with_options(Fault("robust.toml", "data", f'{shape} (try layout = "nhwc")'))
    assert fault.message == f"{shape} (try --data-option layout=nhwc)"
    other = Fault("robust.toml", "budgets.linf", "found 3 (try eps = 1)")
    assert with_options(other) == other


@pytest.mark.parametrize("given", ["net", "torchvision:resnet18", "net.py"])
def test_a_network_of_another_form_is_refused_with_examples(given: str) -> None:
    from bench_core.commands.init import network_entry

    with pytest.raises(UsageError, match=r"--network: found .* \(try net\.py:build"):
        network_entry(given)


@pytest.mark.parametrize(
    "value",
    [
        "net😀.py:build", 'a"b\\c\x7f\x01\u2028', {"a": {"b c": [1, 2.5, True, {"d": "e"}]}}, {}, [], -3, 1e300,
        float("inf"), date(1979, 5, 27),
    ],
)  # fmt: skip
def test_whatever_an_option_is_the_suite_can_be_read(value: Any) -> None:
    from bench_core.commands.init import toml

    assert tomllib.loads(f"x = {toml({'key': value, 'a.b': value})}")["x"] == {"key": value, "a.b": value}


def test_options_of_the_recipes_can_be_given() -> None:
    from bench_core.commands.init import network_entry, options, toml

    entry = {**network_entry("torchvision:resnet18=a.pth"), **options(["classes=10"], "--network-option")}
    assert tomllib.loads(f"x = {toml(entry)}")["x"] == {
        "recipe": "checkpoint", "architecture": "torchvision:resnet18", "file": "a.pth", "classes": 10,
    }  # fmt: skip
