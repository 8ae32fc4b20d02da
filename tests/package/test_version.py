"""The version is that of the tag, with and without git, and is no part of what results depend on."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import bench_core
from bench_core.cli import main
from bench_core.gate.snapshot import fingerprint
from bench_core.runs.record import RunRecord, read_record

ROOT = Path(__file__).parents[2]
FILES = ("pyproject.toml", "README.md", "LICENSE", ".gitattributes", ".git_archival.txt")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the files that decide on the version, and no more."""
    pytest.importorskip("hatch_vcs")
    folder = tmp_path / "project"
    folder.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def version(folder: Path) -> str:
    return run(folder, sys.executable, "-m", "hatchling", "version").splitlines()[-1]


def git(folder: Path, *arguments: str) -> str:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", *arguments)


def commit(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")


def test_a_copy_without_git_and_a_clone_without_tags_have_a_version(project: Path) -> None:
    assert version(project) == "0.1.dev0"
    commit(project)
    assert version(project).startswith("0.1.dev1+g")


def test_a_tag_is_the_version_also_in_an_archive_of_it(project: Path, tmp_path: Path) -> None:
    commit(project)
    git(project, "tag", "v0.3.0")
    assert version(project) == "0.3.0"
    git(project, "archive", "--output", str(tmp_path / "archive.tar"), "HEAD")
    with tarfile.open(tmp_path / "archive.tar") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert version(tmp_path / "unpacked") == "0.3.0"


def test_a_source_distribution_keeps_its_version(project: Path, tmp_path: Path) -> None:
    commit(project)
    git(project, "tag", "v0.3.0")
    run(project, sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path))
    with tarfile.open(tmp_path / "adversarial_bench-0.3.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    assert version(tmp_path / "adversarial_bench-0.3.0") == "0.3.0"


def test_the_command_line_and_the_package_state_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"bench {bench_core.__version__}\n"


def test_two_releases_of_the_same_code_must_have_equal_outcomes(tmp_path: Path, registry, write_suite) -> None:
    result = bench_core.run(write_suite(), out=tmp_path, limit=2, registry=registry, executor="inline")
    record = read_record(result.folder)

    def of_version(number: str, source: str = "f" * 64) -> RunRecord:
        versions = {**record.versions, "adversarial-bench": number}
        plugins = [f"attacks adversarial-bench {number} {source}"]
        return record.model_copy(update={"versions": versions, "plugins": plugins})

    assert fingerprint(of_version("1.0")) == fingerprint(of_version("1.1"))
    assert fingerprint(of_version("1.0")) != fingerprint(of_version("1.0", "e" * 64))
    assert fingerprint(of_version("1.0", "unknown")) != fingerprint(of_version("1.1", "unknown"))
