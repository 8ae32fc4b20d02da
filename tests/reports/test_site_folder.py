"""The folder that `bench site` writes to, and runs in a repository whose names git would quote."""

import os
import shutil
from pathlib import Path
from subprocess import run as call

import pytest

from bench_core import run
from bench_core.cli import app, guard
from bench_core.reports.leaderboard import read_contributions
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


def test_a_folder_with_an_equals_sign_is_a_folder_if_it_exists(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, "runs/eps=8")
    shutil.copytree(made, "8")
    (found,) = find_site_runs(["runs/eps=8"])
    assert (found.name, found.folder) == ("runs/eps=8", Path("runs/eps=8"))
    (named,) = find_site_runs(["eps=runs/eps=8"])
    assert (named.name, named.folder) == ("eps", Path("runs/eps=8"))
    assert [run.name for run in find_site_runs(["a=8", "runs/eps=8"])] == ["a", "runs/eps=8"]
    assert [each.name for each in read_contributions(["runs/eps=8", "eps=8"])] == ["runs/eps=8", "eps"]


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


def test_runs_are_in_the_order_of_their_commits(made: Path, tmp_path: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("no git here")
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    repository = tmp_path / "repository"
    call(["git", "init", "-q", str(repository)], check=True)
    for name, day in (("older", "2026-03-04"), ("newer", "2026-05-06")):
        shutil.copytree(made, repository / name)
        dates = dict.fromkeys(("GIT_COMMITTER_DATE", "GIT_AUTHOR_DATE"), f"{day}T12:00:00Z")
        for command in (["add", "."], [*who, "commit", "-q", "-m", name]):
            call(["git", "-C", str(repository), *command], check=True, env={**os.environ, **dates})
    found = find_site_runs([str(repository / name) for name in ("newer", "older")])
    assert [(run.folder.name, run.date) for run in found] == [("older", "2026-03-04"), ("newer", "2026-05-06")]
