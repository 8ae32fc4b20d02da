"""`bench site` that is stopped says what it has written; and a suite without a leaderboard says why."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import run
from bench_core.cli import app, guard
from bench_core.registry import Registry
from bench_core.reports.site import build as build_module
from bench_core.reports.site.build import Builder
from bench_core.reports.site.found import find_site_runs

from .test_site import MORE, another

DROPOUT = ("[metrics]\n", '[metrics]\ndropout = { recipe = "dropout", rates = [0.3, 0.5], cutout = 0.0 }\n')


@pytest.fixture
def folder(write_suite: Callable[..., str], registry: Registry, tmp_path: Path) -> Path:
    return run(write_suite(*MORE), out=tmp_path / "results", executor="inline", registry=registry).folder


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Return a function that makes the Nth call of a function of the builder's module a Ctrl-C."""

    def at(name: str, call: int) -> None:
        real, calls = getattr(build_module, name), iter(range(1, 100))

        def made(*arguments: object, **options: object) -> object:
            if next(calls) == call:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        monkeypatch.setattr(build_module, name, made)

    return at


def test_a_stopped_site_says_what_it_has_and_a_second_call_goes_on(
    folder: Path, tmp_path: Path, stopped, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, to = another(folder, "later"), tmp_path / "site"

    def bench() -> tuple[int, str]:
        command = ["site", str(folder), str(other), "--to", str(to)]
        return guard(lambda: app(command, prog_name="bench", standalone_mode=False), False), capsys.readouterr().err

    stopped("run_page_parts", 2)
    kept = f"{to} has the pages of 1 of 2 runs, and no front page yet"
    assert bench() == (130, f"bench: interrupted; {kept}, run the same command to continue\n")
    assert len(list((to / "runs").glob("*.html"))) == 1
    assert not (to / "index.html").exists()
    monkeypatch.undo()
    stopped("index_json", 1)
    kept = f"{to} has the page of every run, but not all leaderboards and lists are up to date"
    assert bench() == (130, f"bench: interrupted; {kept}, run the same command to continue\n")
    monkeypatch.undo()
    code, line = bench()
    assert code == 0
    assert "0 of 2 runs rendered now" in line
    another(folder, "last", "\n\n")
    stopped("summarise_run", 1)
    command = ["site", str(folder), str(folder.parent / "last"), "--to", str(to)]
    assert guard(lambda: app(command, prog_name="bench", standalone_mode=False), False) == 130
    assert "has the pages of 1 of 2 runs, and its front page is of an earlier call" in capsys.readouterr().err


def test_a_command_that_stores_nothing_does_not_say_that_it_does(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench_core.reports.leaderboard.read_contributions", stop)
    command = ["leaderboard", str(folder)]
    assert guard(lambda: app(command, prog_name="bench", standalone_mode=False), False) == 130
    assert capsys.readouterr().err == "bench: interrupted\n"


def test_a_suite_whose_score_has_several_values_says_why_it_has_no_leaderboard(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path
) -> None:
    main = 'columns = ["target"]\nvalue = "transfer.success"', 'columns = ["operation"]\nvalue = "dropout.kept"'
    suite = write_suite(DROPOUT, main, ("mean = true", 'best = "max"'))
    done = run(suite, out=tmp_path / "results", executor="inline", registry=registry).folder
    Builder(tmp_path / "site", "a site", given_registry=registry).build(find_site_runs([str(done)]))
    front = html.unescape((tmp_path / "site" / "index.html").read_text())
    part = front.partition('<section id="without">')[2].partition("</section>")[0]
    assert "dropout.kept has a value for each operation, and the suite does not say which one ranks attacks" in part
    assert "Their scores are in the tables of their runs" in part
    (link,) = re.findall(r'href="(runs/[^"]+)#tables"', part)
    assert 'id="tables"' in (tmp_path / "site" / link).read_text()
