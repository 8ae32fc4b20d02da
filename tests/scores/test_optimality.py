"""Attack optimality against brute force on small arrays, and the laws that it must keep."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.optimality import envelope, furthest, gap, optimality, room
from bench_core.scores.rows import RowSet
from bench_core.scores.scored import LabelledScore, Scores
from bench_core.suite.model import MetricEntry, Suite
from bench_core.suite.outputs import OptimalityEntry, TableEntry
from bench_core.tables.pivot import pivot

EPS = 2.0
Table = NDArray[np.float64]
FOUND = st.one_of(st.floats(0, 4), st.just(math.inf), st.just(0.0))


def tables(attacks: int) -> st.SearchStrategy[Table]:
    """Distances [attacks, images], of which some are infinite, and some zero for all attacks."""
    return st.integers(2, 8).flatmap(lambda images: arrays(np.float64, (attacks, images), elements=FOUND))


def area_between(distances: Table, best: Table, far: float, cells: int = 4000) -> float:
    """Return the area between two curves of robust accuracy on [0, far], as a sum over cells."""
    eps = (np.arange(cells) + 0.5) * far / cells
    curves = [(values[:, None] > eps).mean(0) for values in (distances, best)]
    return float((curves[0] - curves[1]).sum() * far / cells)


@given(tables(3))
def test_the_mean_gap_is_the_area_between_the_curves(table: Table) -> None:
    best = envelope(table)
    assert best.tolist() == [min(column) for column in table.T.tolist()]
    for distances in table:
        assert gap(distances, best, EPS).mean() == pytest.approx(area_between(distances, best, EPS), abs=2 * EPS / 4000)


@given(tables(2))
def test_the_room_is_the_gap_of_an_attack_that_fools_nothing(table: Table) -> None:
    best = envelope(table)
    nothing = np.where(best > 0, np.inf, 0.0)
    assert room(best, EPS).tolist() == gap(nothing, best, EPS).tolist()


@given(tables(4))
def test_another_attack_lowers_nobody_s_distance_to_the_envelope(table: Table) -> None:
    before, after = envelope(table[:3]), envelope(table)
    for distances in table[:3]:
        assert (gap(distances, after, EPS) >= gap(distances, before, EPS)).all()


@given(tables(3))
def test_an_attack_that_is_dominated_has_the_larger_area(table: Table) -> None:
    table[1] = np.maximum(table[0], table[1])
    best, images = envelope(table), table.shape[1]
    assert gap(table[1], best, EPS).mean() >= gap(table[0], best, EPS).mean()
    shorter = np.minimum(table[0], EPS).sum() < np.minimum(table[1], EPS).sum() - 1e-9 * images
    assert shorter == (gap(table[1], best, EPS).sum() > gap(table[0], best, EPS).sum() + 1e-9 * images)


def published(distances: Table, best: Table) -> float:
    """Return AttackBench's optimality as its analysis computes it, except that curves are steps and not joined lines.

    The area under the curve up to the largest best distance, of the attack and of the best distances, relative to the
    rectangle below the clean accuracy.
    """
    far = best.max()
    thresholds = np.unique(np.concatenate([[0.0], distances.clip(max=far), best, [far]]))
    widths = np.diff(thresholds)

    def area(values: Table) -> float:
        return float(sum(width * (values > start).mean() for start, width in zip(thresholds, widths, strict=False)))

    clean = np.count_nonzero(best) / len(best)
    return 1 - (area(distances) - area(best)) / (clean * far - area(best))


def rows_of(distances: Mapping[tuple[str, str], Sequence[float]], budget: str = "linf") -> list[RowSet]:
    """Return the rows of attacks on networks, by (network, attack)."""
    made = []
    for (network, attack), values in distances.items():
        labels = Labels.of(
            {"source": network, "attack": attack, "budget": budget, "norm": "l2", "target": network,
             "relation": "white-box"}
        )  # fmt: skip
        rows = {"distance": np.array(values, dtype=np.float64)}
        made.append(RowSet("far", labels, ImageSet.of("selected", np.arange(len(values))), rows))
    return made


@pytest.fixture
def suite(write_suite) -> Suite:
    budget = 'norm = "l2"\neps = 2'
    metric = ('clean = { recipe = "clean_accuracy" }', 'far = { recipe = "fooling_distance", norm = "l2" }')
    appended = '[optimality.best]\nvalue = "far.distance"\n'
    path = write_suite(('norm = "linf"\neps = 0.1', budget), metric, append=appended)
    return load_suite(path)


def scored(rows: Sequence[RowSet], suite: Suite) -> dict[tuple[str, str, str], LabelledScore]:
    made = optimality(rows, "best", OptimalityEntry(value="far.distance"), suite, {"attack", "budget"})
    return {(score.metric, str(score.labels.attack), str(score.labels.source)): score for score in made}


A = {("A", "near"): [0.5, 1.0, 0.0, 1.5], ("A", "far"): [0.75, 0.5, 0.0, math.inf]}
B = {("B", "near"): [0.25, 1.0, 0.5, 1.75], ("B", "far"): [math.inf, math.inf, 0.25, math.inf]}


def test_a_table_compares_the_gaps_of_attacks(suite: Suite) -> None:
    baseline, scores = {"attack": "far"}, Scores(scored(rows_of(A | B), suite).values())
    table = TableEntry(name="t", rows=["attack"], columns=["source"], value="best.gap", baseline=baseline)
    cells = dict(pivot(scores, table, "", None, "file").rows)["near",]
    far = scores.select("best.gap", {"attack": "far"})
    expected = np.mean([cells[index].value - far[index].score.value for index in (0, 1)])
    assert cells[-1].value == pytest.approx(expected)
    assert cells[-1].low <= cells[-1].value <= cells[-1].high
    one = table.model_copy(update={"columns": [], "value": "best.global", "baseline": {}})
    assert pivot(scores, one, "", None, "file").header == ("attack", "best.global")
    one = one.model_copy(update={"value_label": "optimality"})
    assert pivot(scores, one, "", None, "file").header == ("attack", "optimality")


def test_the_scores_are_those_of_attackbench(suite: Suite) -> None:
    scores = scored(rows_of(A | B), suite)
    for network, table in (("A", A), ("B", B)):
        best = envelope(np.array(list(table.values())))
        for attack in ("near", "far"):
            distances = np.array(table[network, attack])
            local = scores["best.local", attack, network].score
            assert local.value == pytest.approx(published(distances, best))
            assert local.low <= local.value <= local.high
            assert scores["best.gap", attack, network].score.value == pytest.approx(gap(distances, best, EPS).mean())
    for attack in ("near", "far"):
        both = [scores["best.local", attack, network].score.value for network in ("A", "B")]
        assert scores["best.global", attack, "None"].score.value == pytest.approx(np.mean(both))
        assert scores["best.global", attack, "None"].score.n == 4


def others(distances: Mapping[tuple[str, str], Mapping[int, float]]) -> list[RowSet]:
    """Return what attacks of other runs reached, by (network, attack) and image."""
    made = []
    for (network, attack), values in distances.items():
        labels = Labels.of({"source": network, "target": network, "attack": attack, "norm": "l2", "run": "other/toy"})
        images = ImageSet.of("selected", list(values))
        made.append(RowSet("best", labels, images, {"distance": np.array(list(values.values()))}))
    return made


@given(tables(2), st.lists(st.dictionaries(st.integers(0, 9), FOUND), max_size=3))
def test_distances_of_other_runs_count_image_by_image(table: Table, reached: list[dict[int, float]]) -> None:
    images = table.shape[1]
    elsewhere = others({("A", str(number)): values for number, values in enumerate(reached)})
    elsewhere += others({("B", "of another network"): dict.fromkeys(range(10), 0.0)})
    rows = rows_of({("A", "near"): table[0].tolist(), ("A", "far"): table[1].tolist()})
    entry, suite = OptimalityEntry(value="far.distance", store=True), SIMPLE
    before = list(optimality(rows, "best", entry, suite, {"attack", "budget"}))
    after = list(optimality(rows, "best", entry, suite, {"attack", "budget"}, elsewhere))
    known = [[table[:, i].min(), *(values[i] for values in reached if i in values)] for i in range(images)]
    best = np.array([min(column) for column in known])
    for distances, old, new in zip(table, by_name("best.gap", before), by_name("best.gap", after), strict=True):
        assert new.score.per_image.tolist() == gap(distances, best, EPS).tolist()
        assert (new.score.per_image >= old.score.per_image).all()  # nobody comes nearer to the envelope


def by_name(name: str, scores: Sequence[LabelledScore]) -> list[LabelledScore]:
    return [score for score in scores if score.metric == name]


class SIMPLE:
    """What optimality uses of a suite."""

    metrics: ClassVar = {"far": MetricEntry(recipe="fooling_distance", norm="l2")}
    budgets: ClassVar = {"linf": SimpleNamespace(eps=EPS)}


def test_the_only_attack_is_the_best(suite: Suite) -> None:
    scores = scored(rows_of({("A", "near"): A["A", "near"]}), suite)
    assert scores["best.local", "near", "A"].score.value == 1
    assert scores["best.gap", "near", "A"].score.value == 0


def test_the_curve_of_the_best_distances_ends_at_the_budget_s_eps() -> None:
    assert furthest(np.array([0.5, 1.5]), EPS) == 1.5
    assert furthest(np.array([0.5, math.inf]), EPS) == EPS


def test_a_network_whose_rows_are_void_or_unknown_has_a_reason(suite: Suite) -> None:
    rows = rows_of(A | B)
    rows[3] = RowSet("far", rows[3].labels, rows[3].images, void="it broke")
    scores = scored(rows, suite)
    assert scores["best.local", "near", "A"].void is None
    assert scores["best.*", "None", "B"].void == "no envelope: it broke"
    assert scores["best.global", "near", "None"].void == "it is not known on the same images of each network"
    rows = rows_of({("A", "near"): [1.0, 1.0], ("A", "far"): [1.0, math.nan]})
    assert scored(rows, suite)["best.*", "None", "A"].void == "no envelope: some distances are unknown"
    rows = rows_of({("A", "near"): [1.0, 1.0], ("A", "far"): [1.5, 1.0]})
    assert scored(rows, suite)["best.local", "far", "A"].void == "the best distances of all images are equal"
    rows = rows_of({("A", "near"): [0.0, math.inf]})
    assert scored(rows, suite)["best.local", "near", "A"].void == "no attack fools an image within eps"


def test_a_run_has_a_table_of_optimality(write_suite, registry: Registry, tmp_path: Path) -> None:
    attacks = ('"PGD" = { recipe = "pgd" }', '"DDN" = { recipe = "ddn" }\n"FMN" = { recipe = "fmn" }')
    metric = ('clean = { recipe = "clean_accuracy" }', 'far = { recipe = "fooling_distance", norm = "l2" }')
    appended = """
[optimality.best]
value = "far.distance"
[[tables]]
name = "local"
rows = ["source", "attack"]
columns = ["norm"]
value = "best.local"
[[tables]]
name = "global"
rows = ["attack"]
columns = ["norm"]
value = "best.global"
"""
    sources = ('["A", ["A", "B"]]', '["A", "B"]')
    budget = ('norm = "linf"\neps = 0.1', 'norm = "l2"\neps = 4\npasses = 40')
    steps, other = ("steps = 4", "steps = 100"), ("seed = 2", "seed = 30")  # which can be fooled
    suite = write_suite(attacks, metric, sources, budget, steps, other, append=appended)
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    assert result.complete, [score.void for score in result.scores if score.void]
    local = result.scores.select("best.local")
    assert {(score.labels.source, score.labels.attack) for score in local} == {
        (source, attack) for source in "AB" for attack in ("DDN", "FMN")
    }
    assert all(0 <= score.score.value <= 1 for score in local)
    for name in ("local", "global"):
        assert next(table for table in result.tables if table.name == name).rows
    for source in "AB":
        assert (result.arrays("attack", source=source, attack="DDN")["forwards"] == 20).all()


def test_names_that_do_not_exist_are_found(write_suite, registry: Registry) -> None:
    metric = ('clean = { recipe = "clean_accuracy" }', 'far = { recipe = "fooling_distance", norm = "l2" }')
    path = write_suite(metric, append='[optimality.best]\nvalue = "far.nearest"\n')
    with pytest.raises(UsageError, match=r'optimality.best.value: found "far.nearest", expected one of far.distance'):
        resolve_suite(load_suite(path), registry)
