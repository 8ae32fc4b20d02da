"""Security curves against brute force on small arrays, and the budgets that a sweep of eps stands for."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench_core import load_suite, run
from bench_core.errors import UsageError
from bench_core.registry import Origin, Registry
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.run_suite import resolve_suite
from bench_core.scores.curves import area, crossing, security_curve, with_start, worst_up_to
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.pareto import attacks_behind
from bench_core.scores.scored import LabelledScore, Scores, void_score
from bench_core.scores.warnings import Warned
from bench_core.statistics import proportion
from bench_core.suite.outputs import CurveEntry
from bench_core.suite.sweeps import expand_sweeps

from .test_perturbations import Timid

EPS = ("1/8", "1/4", "1/2", "1")
SWEEP = """
[security_curves.curve]
value = "transfer.last"
[[tables]]
name = "area"
rows = ["source", "attack"]
columns = ["target"]
value = "curve.area"
[[tables]]
name = "worst"
rows = ["source", "attack", "target"]
columns = ["eps"]
value = "curve.worst"
[[plots]]
name = "curves"
kind = "curves"
value = "curve.worst"
x = "eps"
mean_over = ["target"]
"""
IN_SUITE = ("eps = 0.1\nstep_size = 0.03", 'eps = ["4/255", "1/255", "16/255"]\nstep_size = "eps/4"')


def drawn(images: int = 40, seed: int = 0) -> NDArray[np.float64]:
    """Return outcomes [eps, images] of an attack that may do worse with a larger eps."""
    generator = np.random.default_rng(seed)
    threshold = generator.uniform(0, 1.2, images)
    eps = np.array([1 / 8, 1 / 4, 1 / 2, 1])[:, None]
    return ((threshold < eps) & (generator.uniform(size=(4, images)) > 0.1)).astype(float)


def scores(values: NDArray[np.float64], void: int | None = None, eps_of: Sequence[str] = EPS) -> Scores:
    made = []
    for eps, row in zip(eps_of, values, strict=True):
        labels = Labels.of({"source": "A", "attack": "X", "budget": f"linf eps={eps}", "norm": "linf", "eps": eps})
        images = ImageSet.of("selected", np.arange(len(row)))
        made.append(LabelledScore("transfer.success", labels, proportion("success", row), images=images))
    if void is not None:
        made[void] = void_score("transfer.success", made[void].labels, "a reason")
    return Scores(reversed(made))  # a curve does not depend on the order of a suite's budgets


def by_name(made: Scores) -> dict[tuple[str, str | None], LabelledScore]:
    entry = CurveEntry(value="transfer.success")
    return {(score.metric, score.labels.get("eps")): score for score in security_curve(made, "curve", entry)}


def test_a_curve_is_the_brute_force_over_images() -> None:
    values = drawn()
    found = by_name(scores(values))
    areas = []
    for image in range(values.shape[1]):
        heights = [max(values[: k + 1, image]) for k in range(4)]
        places, total = [0, 1 / 8, 1 / 4, 1 / 2, 1], 0.0
        for k, height in enumerate(heights):
            before = heights[k - 1] if k else 0.0
            total += (places[k + 1] - places[k]) * (before + height) / 2
        areas.append(total)
        for k, eps in enumerate(EPS):
            assert found["curve.worst", eps].per_image.values[image] == heights[k]
    assert found["curve.area", None].per_image.values == pytest.approx(areas)
    assert found["curve.area", None].labels.budget == "linf"
    assert found["curve.area", None].score.value == pytest.approx(np.mean(areas))


def test_half_eps_is_where_the_mean_curve_is_one_half() -> None:
    values = np.zeros((4, 10))
    values[1:, :3] = 1  # 30% at 1/4
    values[2:, :7] = 1  # 70% at 1/2
    half = by_name(scores(values))["curve.half_eps", None].score
    assert half.value == pytest.approx(3 / 8)
    assert half.low < half.value <= half.high


def test_half_eps_is_infinite_where_half_are_never_fooled() -> None:
    values = np.zeros((4, 10))
    values[3, :4] = 1
    half = by_name(scores(values))["curve.half_eps", None]
    assert half.void is None
    assert (half.score.value, half.score.high) == (math.inf, math.inf)


def test_the_upper_end_of_half_eps_is_infinite_where_resamples_do_not_reach_half() -> None:
    values = np.zeros((4, 10))
    values[3, :5] = 1
    score = by_name(scores(values))["curve.half_eps", None].score
    assert (score.value, score.high) == (1.0, math.inf)


def test_the_interval_of_half_eps_has_its_coverage() -> None:
    """Thresholds uniform in [0, 1.2]: half are fooled at 0.6. Linear interpolation is exact for a uniform threshold."""
    generator, eps = np.random.default_rng(1), np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    covered = 0
    for _ in range(200):
        threshold = generator.uniform(0, 1.2, 60)
        values = (threshold <= eps[1:, None]).astype(float)
        half = by_name(scores(values, eps_of=("1/4", "1/2", "3/4", "1")))["curve.half_eps", None].score
        covered += half.low <= 0.6 <= half.high
    assert covered >= 180  # 95% of 200 are 190; fewer than 180 have a probability of 1e-3


def test_accuracy_falls_from_one_and_starts_at_a_given_eps_of_zero() -> None:
    eps, values = np.array([0.5, 1.0]), np.array([[1.0, 0.0], [0.0, 1.0]])
    worst = worst_up_to(values, "min")
    assert worst.tolist() == [[1, 0], [0, 0]]
    places, heights = with_start(eps, worst, 1.0)
    assert area(places, heights) == pytest.approx([0.5 + 0.25, 0.25])
    assert crossing(places, heights.mean(1), "min") == 0.5
    same, given = with_start(np.array([0.0, 1.0]), worst, 1.0)
    assert given is worst
    assert same.tolist() == [0, 1]


def test_a_void_budget_makes_the_summaries_void() -> None:
    found = by_name(scores(drawn(), void=2))
    assert {key: score.void for key, score in found.items()} == {
        ("curve.area", None): "a reason",
        ("curve.half_eps", None): "a reason",
    }


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((4, 0)), "there are no images"),
        (np.array([[0, 1], [0, 1], [np.nan, 1], [1, 1]]), "transfer.success is unknown on some images"),
        (np.array([[0, 1], [0, 1], [2.0, 0], [1, 1]]), "transfer.success is not between 0 and 1"),
    ],
)
def test_a_curve_of_nothing_known_is_void(values: NDArray[np.float64], reason: str) -> None:
    found = by_name(scores(values))
    assert {key[0]: score.void for key, score in found.items()} == {"curve.area": reason, "curve.half_eps": reason}


def test_a_sweep_of_eps_is_a_budget_for_each_value() -> None:
    listed = {"norm": "linf", "eps": [0.1, "1/8"], "step_size": "eps/4", "steps": 3}
    swept = {"norm": "linf", "sweep": {"eps": [0.1, "1/8"]}, "step_size": "eps/4", "steps": 3}
    for entry in (listed, swept):
        budgets = expand_sweeps({"budgets": {"linf": entry}})["budgets"]
        assert list(budgets) == ["linf eps=0.1", "linf eps=1/8"]
        assert budgets["linf eps=1/8"]["eps"] == "1/8"
    both = expand_sweeps({"budgets": {"b": {"norm": "l2", "sweep": {"eps": [1, 2], "steps": [3, 9]}, "step_size": 1}}})
    assert [budget["steps"] for budget in both["budgets"].values()] == [3, 9, 3, 9]


def test_a_run_has_the_curves_of_its_budgets(registry: Registry, write_suite, tmp_path) -> None:
    suite = load_suite(write_suite(IN_SUITE, ('["source", "attack"]', '["budget", "source", "attack"]'), append=SWEEP))
    assert [budget.step_size for budget in suite.budgets.values()] == [1 / 255, 0.25 / 255, 4 / 255]
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    worst = [score for score in result.scores if score.metric == "curve.worst"]
    assert {score.labels["eps"] for score in worst} == {"1/255", "4/255", "16/255"}
    areas = {score.labels.budget for score in result.scores if score.metric == "curve.area"}
    assert areas == {"linf"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('eps = ["4/255", "1/255", "16/255"]', 'eps = "4/255"', "no budget sweeps eps"),
        ('eps = ["4/255", "1/255", "16/255"]', "eps = []", "budgets.linf.eps"),
        ('eps = ["4/255", "1/255", "16/255"]', 'eps = ["4/255", "x"]', "budgets.linf.eps.1"),
        ('eps = ["4/255", "1/255", "16/255"]', "eps = [0.1]\nsweep = { eps = [0.2] }", "budgets.linf"),
        ('eps = ["4/255", "1/255", "16/255"]', "eps = 0.1\nsweep = { eps = [0.2, 0.3] }", "eps and also a sweep of it"),
        ('eps = ["4/255", "1/255", "16/255"]', "sweep = { radius = [0.2] }", "budgets.linf"),
        ('value = "transfer.last"\n[[tables]]', 'value = "transfer.lst"\n[[tables]]', "transfer.last"),
        ('value = "curve.area"', 'value = "curve.are"', "expected one of curve.worst, curve.area, curve.half_eps"),
    ],
)
def test_a_mistake_names_the_key(registry: Registry, write_suite, tmp_path, old: str, new: str, message: str) -> None:
    path = Path(write_suite(IN_SUITE, append=SWEEP))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        run(load_suite(str(path)), out=tmp_path, registry=registry, executor="inline")


def test_a_warning_of_a_swept_budget_concerns_its_curve_and_no_other() -> None:
    warned = Warned("still climbing", attacked=("A", "X", "linf eps=1/8 steps=5"))
    common = {"source": "A", "attack": "X"}
    concerned = {
        budget: warned.concerns(void_score("curve.area", Labels.of({**common, "budget": budget}), ""))
        for budget in ("linf steps=5", "linf steps=9", "l2", "linf")
    }
    assert concerned == {"linf steps=5": True, "linf steps=9": False, "l2": False, "linf": False}
    point = Labels.of({**common, "budget": "linf steps=5", "eps": "1/4"})
    assert not warned.concerns(void_score("curve.worst", point, ""))


def test_the_budgets_behind_an_area_are_those_of_its_sweep() -> None:
    budgets = ["linf eps=1/8", "linf eps=1/4", "l2", "l2 eps=1"]
    common = {"source": "A", "attack": "X"}
    shown = [void_score("curve.area", Labels.of({**common, "budget": budget}), "") for budget in ("linf", "l2")]
    of_clean = void_score("clean.accuracy", Labels.of({"target": "A"}), "")
    assert attacks_behind([*shown, of_clean], budgets) == [("A", "X", label) for label in budgets[:3]]


def test_a_leaderboard_of_areas_has_the_passes_flags_and_lengths_of_its_budgets(
    registry: Registry, write_suite, tmp_path
) -> None:
    registry.register(Timid(), Origin("timid", "tests", "1", "timid-source"))
    attacks = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"timid" = { recipe = "timid" }')
    rows = ('["source", "attack"]', '["budget", "source", "attack"]')
    path = write_suite(IN_SUITE, attacks, rows, append=SWEEP + '[gate]\n"curve.area" = { better = "higher" }\n')
    result = run(load_suite(path), out=tmp_path, registry=registry, executor="inline")
    table = next(table for table in result.tables if table.name == "area")
    assert [note.split(":")[0] for note in table.notes if "unequal" in note] == [
        f"unequal lengths under linf eps={eps}" for eps in ("4/255", "1/255", "16/255")
    ]
    (ranked,) = leaderboards(read_contributions([str(result.folder)], registry), "attack", "curve.area")
    names = [column.name for column in ranked.columns]
    entries = {row[names.index("attack")]: row for row in ranked.rows}
    assert [entries["PGD"][names.index(name)] for name in ("forwards", "backwards")] == [4, 4]
    assert "changed images without a counted pass" in str(entries["timid"][names.index("flags")])


@pytest.mark.parametrize(("score", "instead"), [("curve.half_eps", "curve.area")])
def test_a_gate_refuses_a_score_without_values_of_images(
    registry: Registry, write_suite, score: str, instead: str
) -> None:
    path = write_suite(IN_SUITE, append=SWEEP + f'[gate]\n"{score}" = {{ better = "lower" }}\n')
    with pytest.raises(UsageError, match=rf"gate.{score}: has no value for each image.*\(try {instead}\)"):
        resolve_suite(load_suite(path), registry)
