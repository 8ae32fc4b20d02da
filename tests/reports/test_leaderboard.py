"""Leaderboards: ranks with ties, one entry for equal runs, rejections with their reasons, and inert labels."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.cli import app, guard
from bench_core.errors import UsageError
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.reports.ranking import Entry, ranks
from bench_core.scores.images import ImageSet
from bench_core.scores.scored import Scores
from bench_core.statistics import bootstrap, proportion
from bench_core.tables.formats import FORMATS, render
from bench_core.tables.sheet import Column, Sheet

GATE = '[gate]\n"transfer.success" = { better = "higher" }\n'


@pytest.fixture
def folder(write_suite, registry, tmp_path: Path):
    def make(out: str, *replacements: tuple[str, str], name: str = "toy") -> Path:
        attacks = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }')
        suite = load_suite(write_suite(attacks, *replacements, name=name, append=GATE))
        return run(suite, out=tmp_path / out, executor="inline", registry=registry).folder

    return make


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = guard(lambda: app(list(arguments), prog_name="bench", standalone_mode=False), False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return call


def entry(label: str, values: np.ndarray) -> Entry:
    return Entry(label, "linf", ["run"], {}, (math.nan, math.nan), (), values)


def test_indistinguishable_entries_tie() -> None:
    draw = np.random.default_rng(0)
    strong = (draw.random(400) < 0.8).astype(float)
    like = strong.copy()
    like[:3] = 1 - like[:3]
    weak = (draw.random(400) < 0.4).astype(float)
    assert ranks([entry("a", weak), entry("b", strong), entry("c", like)], highest=True) == [3, 1, 1]
    assert ranks([entry("a", weak), entry("b", strong), entry("c", like)], highest=False) == [1, 2, 2]


def test_a_lower_mean_never_ranks_above_a_higher_mean() -> None:
    """The second is 2.5 points above the third, but only its difference from the first is certain."""
    first = np.repeat([1.0, 0.0], [260, 140])
    second = first.copy()
    second[:10] = 0  # always where the first succeeds, so that their paired difference is certain
    third = np.roll(first, 120)
    third[np.flatnonzero(third)[:20]] = 0
    entries = [entry("third", third), entry("second", second), entry("first", first)]
    assert [round(100 * each.value, 1) for each in entries] == [60.0, 62.5, 65.0]
    assert bootstrap(first - second)[0] > 0
    assert bootstrap(first - third)[0] < 0
    assert ranks(entries, highest=True) == [2, 2, 1]
    assert ranks(entries, highest=False) == [1, 1, 1]


def test_an_entry_is_the_mean_over_black_box_pairs_with_its_cost(folder) -> None:
    (given,) = read_contributions([f"me={folder('a')}"])
    (sheet,) = leaderboards([given])
    names = [column.name for column in sheet.columns]
    rows = {row[1]: dict(zip(names, row, strict=True)) for row in sheet.rows}
    assert set(rows) == {"PGD", "MI"}
    averaged = [score for score in given.result.scores if score.metric == "transfer.success"
           and score.labels["attack"] == "MI" and score.labels["relation"] == "black-box"]  # fmt: skip
    values = np.mean([score.score.per_image for score in averaged], axis=0)
    assert rows["MI"]["pairs"] == len(averaged) == 1
    assert rows["MI"]["transfer.success"] == pytest.approx(values.mean())
    assert (rows["MI"]["low"], rows["MI"]["high"]) == bootstrap(values)
    assert rows["MI"]["forwards"] == 4
    assert rows["MI"]["N"] == 12
    assert rows["MI"]["run"] == "me"


def test_equal_results_of_two_contributors_are_one_entry(folder, bench) -> None:
    first, second = folder("a"), folder("b")
    code, out, _ = bench("leaderboard", f"ann={first}", f"bob={second}", "--format", "json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert {row["run"] for row in rows} == {"ann, bob"}
    assert sorted(row["attack"] for row in rows) == ["MI", "PGD"]
    parent = str(first.parents[1])  # a folder of runs is all of them, as for `bench site`
    assert (
        bench("leaderboard", parent, "--format", "json")[1] == bench("leaderboard", str(first), "--format", "json")[1]
    )
    mixed = folder("c", ('recipe = "mi"', 'recipe = "noise"'))  # another cost, so another entry of the same label
    rows = json.loads(bench("leaderboard", f"ann={first}", f"cat={mixed}", "--format", "json")[1])["rows"]
    assert sorted((row["attack"], row["run"]) for row in rows) == [("MI", "ann"), ("MI", "cat"), ("PGD", "ann, cat")]
    assert {row["run"]: row["forwards"] for row in rows if row["attack"] == "MI"} == {"ann": 4, "cat": 0}


def test_incomparable_runs_are_rejected_with_the_reason(folder, bench) -> None:
    first = str(folder("a"))
    for replacement, expected in (
        (("count = 12", "count = 8"), "attacks other images than"),
        (("eps = 0.1", "eps = 0.2"), "budgets.linf: found"),
        (('targets = ["A", "B"]', 'targets = ["B"]'), ""),
    ):
        code, out, errors = bench("leaderboard", first, str(folder("b", replacement)))
        assert code == (2 if expected else 0)
        assert not expected or any(expected in line for line in errors), errors
    other = str(folder("d", ('sources = ["A", ["A", "B"]]', 'sources = ["A", "B"]')))
    code, out, errors = bench("leaderboard", first, other)
    assert (code, out) == (2, "")
    assert any("is not over the same pairs as" in line and "--where" in line for line in errors)
    assert bench("leaderboard", first, other, "--where", "source=A")[0] == 0
    for arguments, expected in (
        (("--score", "transfer.sucess"), 'did you mean "transfer.success"?'),
        (("--by", "target"), "the target with the highest or the lowest transfer.success is the best (try --best max"),
        (
            ("--score", "transfer.last"),
            "states whether a high or a low transfer.last is best (try --best max or --best min)",
        ),
        (("--where", "source"), "not of the form LABEL=VALUE"),
        (("--where", "source=Z"), "leaves no transfer.success"),
        (("--where", "sauce=A"), 'no transfer.success of toy has this label (did you mean "source"?)'),
        (("--suite", "x"), 'no run is of the suite "x"'),
        (("--format", "xml"), "unknown format"),
    ):
        code, out, errors = bench("leaderboard", first, *arguments)
        assert (code, out) == (2, "")
        assert expected in errors[0]
    assert bench("leaderboard", "--out", "nowhere")[2][0].endswith("there are no runs (bench run SUITE)")


def test_scores_of_different_images_are_not_ranked_even_where_their_counts_agree(folder, registry) -> None:
    """The `dropout.corrected` of an attack is over the images that it fooled."""
    metric = ("[metrics]\n", '[metrics]\ndropout = { recipe = "dropout", rates = [0.5], cutout = 0.0 }\n')
    path = folder("a", metric, ('recipe = "mi"', 'recipe = "noise"'), ('["A", ["A", "B"]]', '["A"]'))
    (run,) = read_contributions([str(path)], registry)
    corrected = {s.labels.attack: s for s in run.result.scores.select("dropout.corrected")}
    assert corrected["PGD"].images != corrected["MI"].images
    with pytest.raises(UsageError, match="is measured on other images than PGD"):
        leaderboards([run], score="dropout.corrected", best="min")
    shifted = [
        replace(score, images=ImageSet.of("selected", np.arange(5) + place), score=proportion("corrected", [1] * 5))
        for place, score in enumerate(corrected.values())
    ]
    counts_agree = replace(run, result=replace(run.result, scores=Scores(shifted)))
    with pytest.raises(UsageError, match="5 against 5, 4 in common"):
        leaderboards([counts_agree], score="dropout.corrected", best="min")


def test_scores_that_differ_in_a_metrics_own_label_are_not_dropped_silently(folder, bench) -> None:
    metric = ("[metrics]\n", '[metrics]\ndropout = { recipe = "dropout", rates = [0.3, 0.5], cutout = 0.0 }\n')
    path = str(folder("a", metric))
    code, _, errors = bench("leaderboard", path, "--score", "dropout.kept", "--best", "max")
    assert code == 2
    assert "several values for one pair; they differ in operation (choose with --where)" in errors[0]


def test_the_main_table_states_what_is_ranked_and_which_value_is_best(write_suite, registry, tmp_path, bench) -> None:
    attacks = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"noise" = { recipe = "noise" }')
    value = 'value = "utility.utility"'
    metric = ("[metrics]\n", '[metrics]\nutility = { recipe = "transfer_utility" }\n')

    def rank(name: str, *arguments: str, to: str = value, append: str = "") -> tuple[int, str, list[str]]:
        suite = load_suite(write_suite(attacks, metric, ('value = "transfer.success"', to), name=name, append=append))
        path = run(suite, out=tmp_path / "out", executor="inline", registry=registry).folder
        return bench("leaderboard", str(path), "--format", "json", *arguments)

    code, _, errors = rank("plain")
    assert code == 2
    assert "no table and no gate of plain states whether a high or a low utility.utility is best" in errors[0]

    def order(*arguments: str, **changes: str) -> list[tuple[str, float]]:
        code, out, errors = rank(*arguments, **changes)
        assert code == 0, errors
        return [(row["attack"], row["utility.utility"]) for row in json.loads(out)["rows"]]

    highest, lowest = order("plain", "--best", "max"), order("plain", "--best", "min")
    assert highest != lowest
    assert order("most", to=value + '\nbest = "max"') == highest
    assert order("least", to=value + '\nbest = "min"') == lowest
    # the first table decides, not the first score of the gate
    gate = '[gate]\n"transfer.last" = { better = "lower" }\n"utility.utility" = { better = "higher" }\n'
    assert order("gated", append=gate) == highest


def test_where_no_score_of_the_suite_can_be_ranked_the_scores_are_named(write_suite, registry, tmp_path, bench) -> None:
    points = '[correlations.points]\nx = "transfer.success"\ny = "transfer.last"\n'
    suite = load_suite(
        write_suite(
            ('"transfer.success"', '"points.pearson"'),
            ('"attack"]', '"target"]'),
            ('["target"]\nvalue', '["norm"]\nvalue'),
            append=points,
        )
    )
    path = run(suite, out=tmp_path / "out", executor="inline", registry=registry).folder
    code, _, errors = bench("leaderboard", str(path))
    assert code == 2
    assert errors[0].startswith("bench: --score: neither the first table nor the gate has a score that can be ranked")
    assert "transfer.last, transfer.success" in errors[0]


def test_filters_and_other_rankings(folder, bench) -> None:
    path = str(folder("a"))
    rows = json.loads(bench("leaderboard", path, "--by", "target", "--best", "min", "--format", "json")[1])["rows"]
    assert [row["target"] for row in rows] == ["B"]
    rows = json.loads(bench("leaderboard", path, "--where", "relation=white-box", "--format", "json")[1])["rows"]
    assert {row["pairs"] for row in rows} == {3}


def test_a_void_entry_is_listed_with_its_reason_and_not_ranked(folder, bench) -> None:
    broken = folder("a", ('recipe = "mi"', 'recipe = "bad_nan"'))
    code, out, _ = bench("leaderboard", str(broken), "--format", "json")
    assert code == 0
    ranked, void = json.loads(out)["rows"]
    assert (ranked["attack"], ranked["rank"]) == ("PGD", 1)
    assert void["rank"] is None
    assert void["flags"].startswith("E: NaN or infinity")


HOSTILE = ["<script>alert(1)</script>", "a|b", "=cmd|' /C calc'!A0", "\033[31mred", "line\nbreak\r", "::error::x",
           "##[error]x", "[link](http://x)", "\u202eevil", "@SUM(A1)", "-1+1", "\" onmouseover=\"x()"]  # fmt: skip


@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.parametrize("form", FORMATS)
def test_labels_are_inert_in_every_format(form: str, label: str) -> None:
    text = render(Sheet(label, (Column("rank", "count"), Column(label)), ((1, label),), (label,)), form)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", text)
    assert "##[" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    if form in ("markdown", "html"):
        assert "<script" not in text
    if form == "html":
        assert ' onmouseover="' not in text
    if form == "csv":
        assert not re.search(r'(^|,)"?[=+@-]', text, re.MULTILINE)
