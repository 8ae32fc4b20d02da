"""Scores over the images that reached an attack's goal, or that fool its source, joined by image."""

from pathlib import Path

import numpy as np
import pytest

from bench_core import load_result, load_suite, run
from bench_core.errors import UsageError
from bench_core.planning.resolve import resolve
from bench_core.registry import Registry
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.reports.query import query, stored_scores
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.only import Outcomes
from bench_core.scores.rows import RowSet
from bench_core.scores.summarise import summarise
from bench_core.types import Score

N = 12
KEY = ("S", "A", "linf")
LABELS = Labels("S", "A", "linf")


def record(**arrays: list) -> RowSet:
    made = {name: np.array(values) for name, values in {"linf": [0.1] * N, **arrays}.items()}
    return RowSet("attack", LABELS, ImageSet.of("selected", range(N)), made)


def test_rows_are_joined_with_the_record_by_image() -> None:
    reached, fooled = [image != 1 for image in range(N)], [1.0 if image > 3 else -1.0 for image in range(N)]
    outcomes = Outcomes([record(reached=reached, margin=fooled)])
    order = [3, 1, 2, 0, *range(N - 1, 3, -1)]
    row = RowSet("m", LABELS, ImageSet.of("selected", order), {"x": np.array([10.0 * image for image in order])})
    for only, left_out in (
        (["attack.reached"], {1}),
        (["attack.fooled"], {0, 1, 2, 3}),
        (["attack.reached", "attack.fooled"], {0, 1, 2, 3}),
    ):
        found = outcomes.restricted(row, only)
        images = [image for image in order if image not in left_out]
        assert found.images == ImageSet.of("selected", images)
        assert found.arrays["x"].tolist() == [10.0 * image for image in images]
    assert outcomes.counts(KEY, ["attack.fooled"]) == "A on S, linf (8 of 12)"
    assert outcomes.restricted(row, []) is row


@pytest.mark.parametrize(
    ("of_attack", "labels", "reason"),
    [
        ({"margin": [1.0] * N}, LABELS, "A has no goal of its own, and so no attack.reached (try attack.fooled)"),
        ({"reached": [False] * N}, LABELS, "found 0 images with attack.reached, expected 5 or more"),
        ({"reached": [True] * 4 + [False] * 8}, LABELS, "found 4 images with attack.reached, expected 5 or more"),
        ({"reached": [True] * N}, Labels(target="S"), "attack.reached is known of attacks only"),
    ],
)
def test_too_few_images_are_void_with_the_reason(of_attack: dict, labels: Labels, reason: str) -> None:
    row = RowSet("m", labels, ImageSet.of("selected", range(N)), {"x": np.zeros(N)})
    assert Outcomes([record(**of_attack), row]).restricted(row, ["attack.reached"]).void == reason


class Means:
    def summarise(self, rows):
        yield Score("x", float(rows["x"].mean()), 0, 1, len(rows["x"]), per_image=rows["x"])


def test_a_metric_can_be_restricted_and_every_attack_has_a_share_of_fooled_images() -> None:
    row = RowSet("m", LABELS, ImageSet.of("selected", range(N)), {"x": np.arange(N, dtype=float)})
    rows = [record(margin=[-1.0] * 6 + [1.0] * 6), row]
    found = {s.metric: s for s in summarise(rows, {"m": Means()}, "all", range(N), [0] * N, {"m": ["attack.fooled"]})}
    assert (found["m.x"].score.value, found["m.x"].score.n) == (8.5, 6)
    assert found["m.x"].images == ImageSet.of("selected", range(6, N))
    assert (found["attack.fooled"].score.value, found["attack.fooled"].score.n) == (0.5, N)


TABLE = '[[tables]]\nname = "{}"\nrows = ["source"]\ncolumns = []\nvalue = "attack.utility"\n{}\n'
TABLES = TABLE.format("all", "") + TABLE.format("reached", 'only = "attack.reached"')
UNTIL = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "until_utility", utility = 0.3 }')


def test_a_table_shows_the_images_that_reached_the_goal_and_says_how_many(
    write_suite, registry: Registry, tmp_path: Path
) -> None:
    suite = load_suite(write_suite(UNTIL, ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'), append=TABLES))
    result = run(suite, out=tmp_path / "out", executor="inline", registry=registry)
    arrays = result.arrays("attack", source="A")
    reached = arrays["reached"]
    assert 5 <= reached.sum() < 12
    for found in (result, load_result(result.folder, registry)):
        tables = {table.name: table for table in found.tables}
        ((_, (every,)),), ((_, (some,)),) = tables["all"].rows, tables["reached"].rows
        assert (every.value, every.n) == (pytest.approx(arrays["utility"].mean()), 12)
        assert (some.value, some.n) == (pytest.approx(arrays["utility"][reached].mean()), reached.sum())
        assert abs(some.value - 0.3) <= 0.1
        note = f"only images with attack.reached: PGD on A, linf ({reached.sum()} of 12)"
        assert note in tables["reached"].notes
        assert not any(note.startswith("only images") for note in tables["all"].notes)


def test_scores_of_some_images_are_recorded_and_queried_with_what_they_are_restricted_to(
    write_suite, registry: Registry, tmp_path: Path
) -> None:
    both = TABLES + TABLE.format("again", 'only = "attack.reached"').replace("utility", "linf")
    suite = load_suite(write_suite(UNTIL, ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'), append=both))
    result = run(suite, out=tmp_path / "out", executor="inline", registry=registry)
    cells = {table.name: table.rows[0][1][0] for table in result.tables if table.name in ("all", "reached", "again")}
    for records in (result.records(), load_result(result.folder, registry).records(), stored_scores(tmp_path / "out")):
        found = {
            (record["metric"], record.get("subset")): (record["value"], record["n"])
            for record in records
            if record["metric"] in ("attack.utility", "attack.linf")
        }
        assert len(records) == len(result.scores) + 2
        for name, metric, only in (
            ("all", "attack.utility", None),
            ("reached", "attack.utility", "attack.reached"),
            ("again", "attack.linf", "attack.reached"),
        ):
            assert found[metric, only] == (cells[name].value, cells[name].n)
    pytest.importorskip("duckdb")
    sql = "SELECT value FROM scores WHERE metric = 'attack.utility' AND subset = 'attack.reached'"
    assert query(sql, tmp_path / "out") == [{"value": cells["reached"].value}]


def test_a_restricted_metric_says_so_in_its_records(write_suite, registry: Registry, tmp_path: Path) -> None:
    metric = ("clean = {", 'mine = { recipe = "transfer", only = "attack.fooled" }\nclean = {')
    result = run(load_suite(write_suite(metric)), out=tmp_path / "out", executor="inline", registry=registry)
    only = {record["metric"].partition(".")[0]: record.get("subset") for record in result.records()}
    assert only == {"attack": None, "clean": None, "transfer": None, "mine": "attack.fooled"}


MAIN = '[[tables]]\nname = "main"'


def first_table(lines: str) -> tuple[str, str]:
    table = TABLE.format("first", lines).replace('["source"]', '["source", "attack"]')
    return MAIN, f"{table}\n{MAIN}"


def test_a_leaderboard_ranks_what_the_first_table_shows(write_suite, registry: Registry, tmp_path: Path) -> None:
    replacements = (UNTIL, ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'))
    table = first_table('best = "max"\nonly = "attack.reached"')
    result = run(load_suite(write_suite(*replacements, table)), out=tmp_path, executor="inline", registry=registry)
    runs = read_contributions([str(result.folder)], registry)
    (shown,) = (table for table in result.tables if table.name == "first")
    reached, every = shown.rows[0][1][0].value, result.arrays("attack", source="A")["utility"].mean()
    assert reached != pytest.approx(every)
    (main,), (named,) = leaderboards(runs), leaderboards(runs, score="attack.utility")
    column = [column.name for column in main.columns].index("attack.utility")
    assert main.rows[0][column] == pytest.approx(reached)
    assert named.rows[0][column] == pytest.approx(every)
    assert "only images with attack.reached" in main.notes
    assert "only images with attack.reached" not in named.notes


@pytest.mark.parametrize("baseline", ["PGD", "Far"])
def test_a_difference_without_values_names_the_row_that_is_void(
    baseline: str, write_suite, registry: Registry, tmp_path: Path
) -> None:
    two = (UNTIL[0], f'{UNTIL[1]}\n"Far" = {{ recipe = "until_utility", utility = 50 }}')
    table = first_table(f'only = "attack.reached"\nbaseline = {{ attack = "{baseline}" }}')
    suite = load_suite(write_suite(two, table, ('sources = ["A", ["A", "B"]]', 'sources = ["A"]')))
    result = run(suite, out=tmp_path, executor="inline", registry=registry)
    (shown,) = (table for table in result.tables if table.name == "first")
    differences = {attack: cells[-1].void for (_, attack), cells in shown.rows}
    other = "Far" if baseline == "PGD" else "PGD"
    reason = f"no difference from {baseline}: A Far has no value that is not void"
    assert differences == {baseline: "", other: reason}
    assert f"void: {reason}" in shown.notes


def test_attacks_that_reached_other_images_are_not_ranked(write_suite, registry: Registry, tmp_path: Path) -> None:
    two = (UNTIL[0], f'{UNTIL[1]}\n"Far" = {{ recipe = "until_utility", utility = 0.35, tolerance = 0.05 }}')
    table = first_table('best = "max"\nonly = "attack.reached"')
    suite = load_suite(write_suite(two, table, ('sources = ["A", ["A", "B"]]', 'sources = ["A"]')))
    result = run(suite, out=tmp_path, executor="inline", registry=registry)
    with pytest.raises(UsageError, match=r"other images than PGD.*try --score attack.utility, which counts all"):
        leaderboards(read_contributions([str(result.folder)], registry))


@pytest.mark.parametrize(
    ("replacements", "append", "message"),
    [
        (
            (),
            TABLE.format("t", 'only = "attack.lucky"'),
            "tables.1.only.0: input should be 'attack.reached' or 'attack.fooled', found 'attack.lucky'",
        ),
        (
            (),
            TABLE.format("t", 'only = "attack.fooled"').replace("attack.utility", "clean.accuracy"),
            'tables.1.only: "clean" observes clean images, not an attack',
        ),
        (
            (
                (
                    'clean = { recipe = "clean_accuracy" }',
                    'clean = { recipe = "clean_accuracy", only = "attack.fooled" }',
                ),
            ),
            "",
            'metrics.clean.only: "clean" observes clean images, not an attack',
        ),
    ],
)
def test_a_restriction_that_cannot_apply_is_a_fault(
    replacements, append: str, message: str, write_suite, registry: Registry
) -> None:
    with pytest.raises(UsageError) as raised:
        resolve(load_suite(write_suite(*replacements, append=append)), registry)
    assert message in str(raised.value)
