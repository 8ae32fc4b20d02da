"""The folder that `bench site` writes to, and runs in a repository whose names git would quote."""

import os
import shutil
from pathlib import Path
from subprocess import run as call

import pytest

from bench_core import run
from bench_core.cli import app, guard
from bench_core.reports.site.found import find_site_runs


@pytest.fixture
def made(write_suite, registry, tmp_path: Path) -> Path:
    """The folder of a run."""
    return run(write_suite(), out=tmp_path / "results", executor="inline", registry=registry).folder


def site(*arguments: str) -> int:
    return guard(lambda: app(["site", *arguments], prog_name="bench", standalone_mode=False), False)


def test_a_folder_that_has_a_cache_of_something_else_is_left_alone(made: Path, tmp_path: Path, capsys) -> None:
    home = tmp_path / "home"
    for name in (".cache/other.json", "runs/mine.txt", "assets/logo.png", "index.html"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("mine")
    before = sorted(home.rglob("*"))
    assert site(str(made), "--to", str(home)) == 2
    assert capsys.readouterr().err == f"bench: --to: {home}: has something else than a site (try a new folder)\n"
    assert sorted(home.rglob("*")) == before
    assert (home / "index.html").read_text() == "mine"


def test_a_site_is_written_again_removes_old_pages_and_keeps_folders(made: Path, tmp_path: Path) -> None:
    to = tmp_path / "site"
    assert site(str(made), "--to", str(to)) == 0
    (to / "runs" / "old.html").write_text("of a run that is deleted")
    (to / "runs" / "folder").mkdir()
    assert site(str(made), "--to", str(to)) == 0
    assert not (to / "runs" / "old.html").exists()
    assert (to / "runs" / "folder").is_dir()


@pytest.mark.parametrize("name", ["größe", "模型", b"raw\xff"])
def test_names_that_git_quotes_have_dates(made: Path, tmp_path: Path, name: str | bytes) -> None:
    if not shutil.which("git"):
        pytest.skip("no git here")
    repository = tmp_path / "repository"
    repository.mkdir()
    folder = repository / os.fsdecode(name)
    try:
        shutil.copytree(made, folder)
    except OSError:
        pytest.skip("this file system has no such names")
    day = "2026-03-04T12:00:00Z"
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "x"]):
        dates = {"GIT_COMMITTER_DATE": day, "GIT_AUTHOR_DATE": day}
        call(["git", "-C", str(repository), *command], check=True, env={**os.environ, **dates})
    (found,) = find_site_runs([str(folder)])
    assert found.date == "2026-03-04"
