"""What a release needs: metadata that agrees with the files, and a wheel that works where it is installed alone."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MOST_BYTES = 12 * 2**20  # of the wheel; 9 MiB are weights and images


def test_the_versions_of_python_are_those_that_are_required() -> None:
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), flags=re.MULTILINE)
    assert named == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_the_changelog_has_what_is_not_released_and_says_how_to_read_a_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    titles = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", title) for title in titles[1:])


def test_the_citation_has_what_its_schema_requires() -> None:
    yaml = pytest.importorskip("yaml")
    record = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(record)
    assert record["license"] == PROJECT["license"]
    for entry in (record, *record["references"]):
        assert entry["authors"]
        assert all("name" in author or "family-names" in author for author in entry["authors"])
    papers = {entry["url"] for entry in record["references"]}
    assert papers <= set(re.findall(r"https://arxiv\.org/abs/[\d.]+", (ROOT / "README.md").read_text()))


def test_the_hooks_before_a_commit_are_the_checks_of_ci() -> None:
    yaml = pytest.importorskip("yaml")
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert all(hook["language"] == "system" for hook in local["hooks"])
    assert [hook["entry"].split()[0] for hook in local["hooks"]] == ["ruff", "ruff", "mypy", "lint-imports"]


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run([*map(str, command)], cwd=cwd, env=given, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution, and from it the wheel, as for a release; return their folder."""
    for library in ("build", "hatch_vcs"):
        pytest.importorskip(library)
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.mark.slow
def test_both_distributions_have_one_version_and_the_wheel_everything(built: Path) -> None:
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert wheel.name.split("-")[1] == source.name.removesuffix(".tar.gz").split("-")[1]
    assert wheel.stat().st_size < MOST_BYTES
    assert source.stat().st_size < 2 * MOST_BYTES
    names = zipfile.ZipFile(wheel).namelist()
    for expected in (
        "bench_core/suites/transfer_table1.toml", "bench_core/suites/profiles/embedded.toml",
        "bench_core/ci/action.yml", "bench_core/ci/gitlab.yml", "bench_core/templates/init/suite.toml.j2",
        "bench_models/embedded/weights/VGG.safetensors", "bench_models/embedded/images.safetensors",
        "bench_models/pointclouds/__init__.py", "bench_attacks/parts/mi.py", "bench_metrics/transfer.py",
    ):  # fmt: skip
        assert expected in names
    assert sum("licenses/" in name for name in names) == len(PROJECT["license-files"])
    assert not [name for name in names if name.startswith(("tests/", "docs/", "results/", "benchmarks/"))]


@pytest.mark.slow
def test_the_wheel_alone_runs_a_suite(built: Path, tmp_path: Path) -> None:
    """The new environment sees the libraries of this one, but not this checkout."""
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    call(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel,
        cwd=tmp_path,
    )  # fmt: skip
    # a plain path, so that .pth files of that folder, such as the one of an editable checkout, are not followed
    (packages / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    bench = tmp_path / "env" / "bin" / "bench"
    where = call(python, "-c", "import bench_core; print(bench_core.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(packages)
    assert call(bench, "--version", cwd=tmp_path).split()[1] == wheel.name.split("-")[1]
    settings = ['sources=["VGG"]', 'images.models=["VGG"]', 'targets=["ResNet-L"]', "attacks.IR.samples=1"]
    settings += [f"budgets.{label}.steps=2" for label in ("linf", "l2")]
    call(bench, "run", "transfer_table1", "--limit", "4", *[f"--set={text}" for text in settings], cwd=tmp_path)
    record = json.loads((tmp_path / "results" / "transfer_table1" / "embedded" / "run.json").read_text())
    assert record["versions"]["adversarial-bench"] == wheel.name.split("-")[1]
    assert record["voids"] == []
    table = call(bench, "show", "transfer_table1", "--format", "csv", cwd=tmp_path)
    assert "VGG,IR" in table
    (tmp_path / "net.py").write_text("from torch import nn\n\ndef build():\n    return nn.Flatten()\n")
    call(
        bench, "init", "--network", "net.py:build", "--data", "embedded", "--images", "2", cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / ".github" / "actions" / "bench" / "action.yml").is_file()
