"""The workflow of docs/submissions.md: its shell step runs on a repository with submissions, as GitHub runs it."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
PAGE = Path(__file__).parents[2] / "docs" / "submissions.md"
BENCH = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in verify) echo "### $2" ;; esac
case "$2" in *wrong*) exit 1 ;; esac
"""


def workflow() -> dict:
    text = PAGE.read_text(encoding="utf-8")
    return yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit, and a stand-in of bench that writes down how it is called."""
    if not (shutil.which("git") and shutil.which("bash")):
        pytest.skip("no git or no bash here")
    (tmp_path / "bin").mkdir()
    bench = tmp_path / "bin" / "bench"
    bench.write_text(BENCH)
    bench.chmod(bench.stat().st_mode | stat.S_IXUSR)
    top = tmp_path / "repository"
    (top / "submissions").mkdir(parents=True)
    (top / "submissions" / "old.zip").touch()
    git(top, "init", "-q")
    commit(top)
    return top


def git(top: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *arguments], cwd=top, check=True, capture_output=True, text=True).stdout


def commit(top: Path) -> None:
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "x")


def check(top: Path, tmp_path: Path) -> tuple[int, list[str]]:
    """Run the last step of the workflow on the last commit; return its exit code and the calls of bench."""
    (step,) = [step for step in workflow()["jobs"]["check"]["steps"] if step.get("name") == "check and verify"]
    assert step["shell"] == "bash"
    given = {"BASE": git(top, "rev-parse", "HEAD~1").strip(), "CALLS": str(tmp_path / "calls"),
             "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}  # fmt: skip
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, cwd=top, env={**os.environ, "PATH": path, **given}, check=False, capture_output=True)
    calls = (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []
    return done.returncode, calls


def test_every_zip_that_is_added_or_changed_is_checked_and_verified(repository: Path, tmp_path: Path) -> None:
    (repository / "submissions" / "$(touch pwned) new.zip").touch()
    (repository / "elsewhere.txt").touch()
    (repository / "submissions" / "old.zip").unlink()
    commit(repository)
    code, calls = check(repository, tmp_path)
    name = "submissions/$(touch pwned) new.zip"
    assert (code, calls) == (0, [f"submit-check {name}", f"verify {name} --sample 0.05 --format markdown"])
    assert (tmp_path / "summary").read_text() == f"### {name}\n"
    assert not (repository / "pwned").exists()


@pytest.mark.parametrize("name", ["wrong.zip", "run/run.json", "run.zip.txt"])
def test_a_wrong_submission_or_anything_but_a_zip_fails(repository: Path, tmp_path: Path, name: str) -> None:
    (repository / "submissions" / name).parent.mkdir(exist_ok=True)
    (repository / "submissions" / name).touch()
    (repository / "submissions" / "z.zip").touch()
    commit(repository)
    code, calls = check(repository, tmp_path)
    assert code == 1
    assert not any("z.zip" in call or call.startswith("verify") for call in calls)


def test_it_has_no_secrets_and_may_not_write() -> None:
    found = workflow()
    assert found["permissions"] == {"contents": "read"}
    assert set(found[True]) == {"pull_request"}  # YAML reads `on` as true; pull_request_target would have secrets
    steps = found["jobs"]["check"]["steps"]
    assert steps[0]["with"]["persist-credentials"] is False
    assert not any("${{" in step.get("run", "") for step in steps)
