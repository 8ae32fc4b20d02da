"""`--until decided`, `--alpha`, `--margin` and `[decide]`: what they accept, and what a mistake is answered with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_core import UsageError, load_suite, run
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.suite.decide import DecideEntry, decided_table, with_decision

BASELINE = ("mean = true\n", 'mean = true\nbaseline = { attack = "PGD" }\n')
WriteSuite = Callable[..., str]


def faults_of(suite: str, registry: Registry) -> str:
    with pytest.raises(UsageError) as caught:
        resolve_suite(load_suite(suite), registry)
    return str(caught.value)


def test_the_defaults() -> None:
    decide = DecideEntry()
    assert (decide.alpha, decide.margin, decide.fewest, decide.table) == (0.05, 0.01, 50, None)


@pytest.mark.parametrize(("text", "margin"), [('"1pt"', 0.01), ('"0.5 pt"', 0.005), ("0.02", 0.02), ('"1/50"', 0.02)])
def test_a_margin_is_a_share_or_points(text: str, margin: float, write_suite: WriteSuite) -> None:
    suite = load_suite(write_suite(BASELINE, append=f"[decide]\nmargin = {text}\n"))
    assert suite.decide.margin == pytest.approx(margin)
    plain = load_suite(write_suite(BASELINE))
    assert with_decision(plain, "decided", None, text.strip('"')).decide.margin == pytest.approx(margin)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('margin = "wide"', 'decide.margin: found "wide", which is not a margin (try 1pt, 0.01)'),
        ('margin = "xpt"', 'decide.margin: found "xpt", which is not a margin (try 1pt, 0.01)'),
        ("margin = 0", "decide.margin: input should be greater than 0, found 0"),
        ("margin = 5", "decide.margin: input should be less than 1, found 5"),
        ("alpha = 0.7", "decide.alpha: input should be less than or equal to 0.5, found 0.7"),
        ("fewest = 0", "decide.fewest: input should be greater than or equal to 1, found 0"),
        ('tabel = "main"', 'decide.tabel: unknown key (did you mean "table"?)'),
    ],
)
def test_a_wrong_value_in_the_suite_is_one_line(line: str, message: str, write_suite: WriteSuite) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite(write_suite(BASELINE, append=f"[decide]\n{line}\n"))
    assert len(caught.value.faults) == 1
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("mian", 'decide.table: no table "mian" (did you mean "main"?)'),
        ("plain", 'decide.table: "plain" has no baseline (try main)'),
        ("numbers", 'decide.table: "numbers" has not format = "percent": only shares can be decided (try main)'),
    ],
)
def test_a_wrong_table_is_one_line(table: str, message: str, write_suite: WriteSuite, registry: Registry) -> None:
    def entry(name: str, more: str) -> str:
        return f'[[tables]]\nname = "{name}"\nrows = ["source", "attack"]\ncolumns = ["target"]\n{more}\n'

    plain = entry("plain", 'value = "transfer.last"\nformat = "percent"')
    numbers = entry("numbers", 'value = "transfer.last"\nbaseline = { attack = "PGD" }')
    suite = write_suite(BASELINE, append=f'[decide]\ntable = "{table}"\n{plain}{numbers}')
    found = faults_of(suite, registry)
    assert message in found
    assert "\n" not in found


def test_a_suite_without_a_baseline_has_nothing_to_decide(write_suite: WriteSuite, registry: Registry) -> None:
    message = 'no table has a baseline and format = "percent", so there is no comparison to decide'
    assert f"decide: {message}" in faults_of(write_suite(append="[decide]\n"), registry)
    with pytest.raises(UsageError) as caught:
        with_decision(load_suite(write_suite()), "decided", None, None)
    assert str(caught.value).endswith(f"--until decided: {message}")


@pytest.mark.parametrize("append", ["[decide]\n", ""])
def test_a_suite_without_targets_cannot_decide_what_is_observed_on_them(
    append: str, write_suite: WriteSuite, registry: Registry, tmp_path: Path
) -> None:
    file = write_suite(
        BASELINE, ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'), ('targets = ["A", "B"]\n', ""), append=append
    )
    message = (
        'targets: found none, but the comparisons of "main" are of "transfer", which observes targets '
        '(try targets = ["B"])'
    )
    with pytest.raises(UsageError) as caught:
        run(file, registry=registry, executor="inline", out=tmp_path, until=None if append else "decided")
    assert message in str(caught.value)
    if not append:
        result = run(file, registry=registry, executor="inline", out=tmp_path)
        assert "nothing to show of transfer.success: the suite has no targets" in result.tables[0].notes


@pytest.mark.parametrize(
    ("until", "alpha", "margin", "message"),
    [
        ("settled", None, None, '--until: found "settled", expected decided'),
        (None, 0.1, None, "--alpha: needs --until decided, or [decide] in the suite"),
        (None, None, "1pt", "--margin: needs --until decided, or [decide] in the suite"),
        ("decided", 2.0, None, "--alpha: input should be less than or equal to 0.5, found 2.0"),
        ("decided", None, "wide", '--margin: found "wide", which is not a margin (try 1pt, 0.01)'),
    ],
)
def test_a_wrong_option_is_one_line(
    until: str | None, alpha: float | None, margin: str | None, message: str, write_suite: WriteSuite
) -> None:
    with pytest.raises(UsageError) as caught:
        with_decision(load_suite(write_suite(BASELINE)), until, alpha, margin)
    assert str(caught.value).startswith(message)
    assert len(caught.value.faults) == 1


def test_options_replace_those_of_the_suite_and_the_record_repeats_them(write_suite: WriteSuite) -> None:
    file = write_suite(BASELINE, append='[decide]\nalpha = 0.1\nmargin = "2pt"\n')
    suite = with_decision(with_decision(load_suite(file), None, 0.2, None), "decided", 0.3, None)
    assert (suite.decide.alpha, suite.decide.margin) == (0.3, 0.02)
    assert suite.overrides == ["decide.alpha=0.3"]
    assert load_suite(file, overrides=suite.overrides).decide == suite.decide
    assert with_decision(load_suite(file), None, None, None) == load_suite(file)


def test_the_first_table_of_shares_with_a_baseline_is_decided() -> None:
    suite = load_suite("transfer_table1")
    assert decided_table(DecideEntry(), suite.tables).name == "main"
    assert decided_table(DecideEntry(table="last_step"), suite.tables).name == "last_step"
