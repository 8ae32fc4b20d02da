"""A run's folder on another machine: the suite's file, the working directory and the store are gone."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bench_core import load_result, load_suite, run
from bench_core.cli import app, guard
from bench_core.errors import UsageError
from bench_core.reports.page.page import run_page

PUBLISHED = "source,attack,target,percent\nA,PGD,B,12.5\nA,PGD,A,99\n"
REFERENCE = """
best = "max"
[tables.reference]
file = "papers/published.csv"
value = "percent"
scale = 0.01
[gate]
"transfer.success" = { better = "higher" }
"""


@pytest.fixture
def folder(write_suite, registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose suite names its published values by a path relative to the suite's file."""
    home = tmp_path / "home"
    (home / "papers").mkdir(parents=True)
    (home / "papers" / "published.csv").write_text(PUBLISHED)
    monkeypatch.chdir(home)
    shutil.move(write_suite(append=REFERENCE), "toy.toml")
    path = run(load_suite("toy.toml"), out="results", executor="inline", registry=registry).folder
    assert not path.is_absolute()
    return path


@pytest.fixture
def moved(folder: Path, tmp_path: Path):
    """Move the run away, and delete everything else that it was computed from."""

    def move(monkeypatch: pytest.MonkeyPatch) -> Path:
        away = tmp_path / "elsewhere" / "results" / "toy" / "toy"
        away.parent.mkdir(parents=True)
        shutil.move(folder, away)
        monkeypatch.chdir(tmp_path / "elsewhere")
        shutil.rmtree(tmp_path / "home")
        return Path("results/toy/toy")

    return move


def test_every_command_prints_the_same_after_a_move(folder: Path, moved, monkeypatch, capsys) -> None:
    def printed(path: Path) -> dict[str, str]:
        commands = {
            "show": ["show", str(path), "--ci"],
            "reference": ["show", str(path), "--reference"],
            "by": ["show", str(path), "--by", "target"],
            "leaderboard": ["leaderboard", f"me={path}"],
            "compare": ["compare", str(path), str(path)],
            "query": ["query", "SELECT * FROM scores", "--format", "csv"],
            "report": ["report", str(path)],
        }
        texts = {}
        for name, arguments in commands.items():
            assert guard(lambda: app(arguments, prog_name="bench", standalone_mode=False), False) == 0  # noqa: B023
            texts[name] = capsys.readouterr().out
        texts["page"] = (path / "report.html").read_text()
        return texts

    before = printed(folder)
    assert "12.5" in before["show"]
    after = printed(moved(monkeypatch))
    assert after == before


def test_the_gallery_is_computed_from_the_folder_alone_and_leaves_no_store_behind(
    folder: Path, moved, monkeypatch, registry
) -> None:
    before = run_page(folder, registry, gallery=2)
    away = moved(monkeypatch)
    assert run_page(away, registry, gallery=2) == before
    assert "data:image/png" in before
    assert [path.name for path in Path().iterdir()] == ["results"]
    assert [path.name for path in Path("results").iterdir()] == ["toy"]


def test_a_dataset_that_is_gone_is_a_note_in_the_gallery(folder: Path, registry, monkeypatch) -> None:
    def gone(self, count: int = 20):
        raise FileNotFoundError(2, "No such file or directory", "images/0.png")

    monkeypatch.setattr("tests.toys.ToyImages.__init__", gone)
    page = run_page(folder, registry, gallery=2)
    assert "cannot read" in page
    assert "<table" in page


def test_a_record_of_another_version_is_one_line(folder: Path, registry) -> None:
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    for found, expected in ((None, "found none, expected 1"), (2, "found 2, expected 1")):
        facts["format"] = found
        path.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))
        with pytest.raises(UsageError) as caught:
            load_result(folder, registry)
        (fault,) = caught.value.faults
        assert re.fullmatch(rf"\S+run.json: format: {expected}.*\(run the suite again\)", str(fault))


def test_a_damaged_record_names_the_key(folder: Path, registry) -> None:
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    del facts["images"]["ids"]
    path.write_text(json.dumps(facts))
    with pytest.raises(UsageError, match=r"run.json: images.ids: damaged"):
        load_result(folder, registry)


def test_published_values_that_are_gone_are_one_line(folder: Path, registry) -> None:
    shutil.rmtree(folder / "published")
    with pytest.raises(UsageError, match=r"published/main.csv: cannot read: No such file"):
        load_result(folder, registry)
