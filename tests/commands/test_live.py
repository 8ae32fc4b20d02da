"""What a run shows: on a terminal the numbers so far, in place; otherwise a line for each round."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench_core import run
from bench_core.commands.live import LiveView, RoundLines, decided_text
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.tables.decision import Decision, Decisions
from bench_core.tables.views import with_decisions

BASELINE = 'mean = true\nbaseline = { attack = "PGD" }\n'
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def results(write_suite: Callable[..., str], registry: Registry, tmp_path: Path) -> list[Result]:
    """The results after 5, 10 and 12 images."""
    seen: list[Result] = []
    suite = write_suite(
        ("mean = true\n", BASELINE),
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }'),
        ('targets = ["A", "B"]', 'targets = ["B"]'),
        ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'),
    )
    run(suite, out=tmp_path, registry=registry, executor="inline", on_round=seen.append)
    return seen


def test_lines_state_the_images_and_the_differences_but_not_after_the_last_round(results, capsys) -> None:
    for result in results:
        RoundLines().on_round(result)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["5 of 12 images", "10 of 12 images"]
    assert all(re.search(r"mean - PGD: A MI [+-]\d+\.\d \[", line) for line in lines)


def shown(results: list[Result], width: int, height: int = 24) -> str:
    """Return all that a terminal receives, without its control sequences."""
    stream = io.StringIO()
    view = LiveView(Console(file=stream, force_terminal=True, width=width, height=height))
    with view.stage("attacks", 3) as advance:
        for result in results:
            view.on_round(result)
            advance(1)
    return ESCAPES.sub("", stream.getvalue())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_shows_the_headline_with_the_images_and_the_time_left(width: int, results) -> None:
    text = shown(results, width)
    for count in ("N = 5 of 12 images", "N = 10 of 12 images", "N = 12 images"):
        assert count in text
    assert "A MI" in text
    assert "attacks" in text
    assert all(len(line) <= width for line in re.split("[\r\n]", text)), "no line is wrapped"


def test_a_low_terminal_shows_the_first_rows_and_counts_the_others(results) -> None:
    (table,) = results[0].tables
    long = replace(table, rows=table.rows[:1] + table.rows[1:] * 30)
    text = shown([replace(results[0], tables=[long])], 80, height=12)
    assert "... 25 more lines" in text


def test_nothing_of_the_live_view_is_left_but_a_line_for_the_stage(results) -> None:
    stream = io.StringIO()
    view = LiveView(Console(file=stream, force_terminal=False, width=80))
    with view.stage("attacks", 1):
        view.on_round(results[0])
    assert re.fullmatch(r"\s*bench: attacks: done in [\d.]+ s\s*", stream.getvalue())


def test_colours_can_be_switched_off(results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    view = LiveView(Console(file=stream, force_terminal=True, width=80))
    with view.stage("attacks", 1) as advance:
        view.on_round(results[0])
        advance(1)
    assert not re.search(r"\x1b\[(3|4|9|10)\d(;\d+)*m", stream.getvalue())


def decided_result(result: Result, *states: str, until: bool = True) -> Result:
    """Return a result of which the comparisons have some states."""
    each = [
        Decision(("A", "MI"), state, len(result.selected), more=11 if state == "undecided" else None, most=99)
        for state in states
    ]
    decisions = Decisions("main", 0.05, 0.01, each)
    tables = [with_decisions(table, decisions) for table in result.tables]
    return replace(result, decisions=decisions, tables=tables, until_decided=until)


def test_lines_state_the_decisions_but_not_after_the_last_round(results, capsys) -> None:
    RoundLines().on_round(decided_result(results[0], "undecided"))
    line = capsys.readouterr().err
    assert line.startswith("bench: 5 of 12 images: 1 undecided: mean - PGD: A MI")
    assert line.endswith("undecided, ~11 more\n")
    RoundLines().on_round(decided_result(results[0], "decided"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_shows_the_decisions(width: int, results) -> None:
    text = shown([decided_result(results[0], "undecided"), decided_result(results[1], "decided")], width)
    assert "undecided, ~11 more" in text
    assert "N = 5 of 12 images: 1 undecided" in text
    assert "decided at 10" in text


@pytest.mark.parametrize(
    ("which", "states", "text"),
    [
        (1, ["decided", "tied"], "stopped after 10 of 12 images: 1 decided, 1 tied (without --until, the rest is "),
        (2, ["decided", "tied"], "1 decided, 1 tied after 12 images"),
        (2, ["decided", "undecided"], "1 decided, 1 undecided after 12 images; about 25 images would decide them (--i"),
        (2, ["void"], "1 void after 12 images"),
    ],
)
def test_the_end_of_a_run_says_what_is_decided_and_how_to_go_on(which: int, states, text: str, results) -> None:
    assert decided_text(decided_result(results[which], *states)).startswith(text)


def test_the_end_counts_comparisons_that_no_number_of_images_is_known_for(results) -> None:
    result = decided_result(results[2], "undecided", "undecided")
    first, second = result.decisions.each
    decisions = replace(result.decisions, each=[first, replace(second, more=None)])
    assert "about 25 images would decide 1 of these" in decided_text(replace(result, decisions=decisions))
    alone = replace(decisions, each=decisions.each[1:])
    assert decided_text(replace(result, decisions=alone)) == "1 undecided after 12 images"


def test_the_end_asks_for_no_images_that_the_dataset_lacks(results) -> None:
    result = replace(decided_result(results[2], "decided", "undecided"), exhausted=True)
    text = "1 decided, 1 undecided after 12 images; the dataset has no more images that can be attacked"
    assert decided_text(result) == text
    assert decided_text(replace(decided_result(results[2], "decided"), exhausted=True)) == "1 decided after 12 images"


def test_the_number_of_images_that_is_named_would_decide_all(results) -> None:
    result = decided_result(results[2], "undecided", "undecided")
    first, second = result.decisions.each
    decisions = replace(result.decisions, each=[replace(first, more=4), replace(second, more=8)])
    assert "about 20 images would decide them (--images 20)" in decided_text(replace(result, decisions=decisions))
