"""The Pareto front against its definition, and costs against the counted passes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_core import run
from bench_core.errors import UsageError
from bench_core.plots import write_plots
from bench_core.plots.pareto import curve, draw_front
from bench_core.plots.series import Point, grouped
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.scores.pareto import attack_of, costs, front, passes
from bench_core.suite.plot_entries import ParetoPlotEntry
from tests.properties import UNTIMED

NUMBERS = st.integers(0, 5).map(float) | st.just(math.nan)
PGD = '"PGD" = { recipe = "pgd" }'
BOTH = (
    (PGD, f'{PGD}\n"VR" = {{ recipe = "vr", copies = 3 }}\n"N" = {{ recipe = "noise" }}'),
    ('targets = ["A", "B"]', 'targets = ["B"]\ngate."transfer.success" = { better = "higher" }'),
)


@UNTIMED
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), st.booleans())
def test_the_front_has_exactly_the_undominated_points(points: list[tuple[float, float]], highest: bool) -> None:
    sign = 1 if highest else -1
    real = [p for p in points if not any(map(math.isnan, p))]

    def dominated(p: tuple[float, float]) -> bool:
        return any(q[0] <= p[0] and sign * q[1] >= sign * p[1] and q != p for q in real)

    found = front(points, highest)
    assert sorted(found) == [i for i, p in enumerate(points) if p in real and not dominated(p)]
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


@pytest.fixture
def result(write_suite, registry, tmp_path):
    return run(write_suite(*BOTH), out=tmp_path, registry=registry, executor="inline")


def test_the_last_step_of_a_curve_costs_the_counted_passes(result) -> None:
    cost = passes(result.scores)
    assert cost["A", "PGD", "linf"] == 4 + 4
    assert cost["A", "VR", "linf"] == 3 * (4 + 4)
    assert cost["A+B", "VR", "linf"] == 2 * 3 * (4 + 4), "a pass through an ensemble counts once for each member"
    plot = ParetoPlotEntry(name="price", value="transfer.at_step", kind="pareto", mean_over=["source", "target"])
    steps = [score for score in result.scores if score.metric == "transfer.at_step"]
    for scores_of_attack in grouped(steps, ["attack"]).values():
        points = curve(scores_of_attack, plot, cost)
        last = [score for score in scores_of_attack if score.labels["step"] == len(points)]
        black = [score for score in last if score.labels["relation"] == "black-box"]
        total = np.mean([cost[attack_of(score)] for score in black])
        assert [point.x for point in points] == pytest.approx(
            [total * (k + 1) / len(points) for k in range(len(points))]
        )
        assert points[-1].value == pytest.approx(np.mean([score.score.value for score in black]))
    success = [score for score in result.scores if score.metric == "transfer.success" and attack_of(score)[1] == "VR"]
    assert {score.labels["source"]: score.labels["relation"] for score in success} == {
        "A": "black-box",
        "A+B": "white-box",
    }
    assert [point.x for point in curve(success, plot, cost)] == [24], "of the source A, whose score is in the mean"


def test_the_leaderboard_marks_the_pareto_front(result, registry) -> None:
    (sheet,) = leaderboards(read_contributions([str(result.folder)], registry))
    names = [column.name for column in sheet.columns]
    rows = [dict(zip(names, row, strict=True)) for row in sheet.rows]
    cost = [(row["forwards"] + row["backwards"], row["transfer.success"]) for row in rows]
    assert [row["front"] == "yes" for row in rows] == [place in front(cost) for place in range(len(rows))]
    assert {row["attack"]: row["front"] for row in rows}["N"] == "yes"  # it costs nothing


SIZE = (
    'clean = { recipe = "clean_accuracy" }',
    'clean = { recipe = "clean_accuracy" }\nsize = { recipe = "distances" }',
)
PLOT = (
    '[[plots]]\nname = "size"\nkind = "pareto"\ncost = "{cost}"\nvalue = "{value}"\nmean_over = ["source", "target"]\n'
)


def test_a_score_can_be_the_cost(registry, write_suite, tmp_path) -> None:
    suite = write_suite(*BOTH, SIZE, append=PLOT.format(cost="size.l2", value="transfer.last"))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    found = costs(result.scores, "size.l2")
    assert found == {attack_of(score): score.score.value for score in result.scores.select("size.l2")}
    last = [score for score in result.scores.select("transfer.last") if attack_of(score)[1] == "VR"]
    (point,) = curve(last, result.suite.plots[0], found)
    assert point.x == found["A", "VR", "linf"], "of the source A, whose score is in the mean"
    assert {path.suffix for path in write_plots(result, registry)} == {".svg", ".png"}


@pytest.mark.parametrize(
    ("cost", "value", "message"),
    [
        ("size.l2", "transfer.at_step", "transfer.at_step of every step"),
        ("transfer.last", "transfer.success", "several values"),
        ("size.l3", "transfer.last", "size.l2"),
    ],
)
def test_a_cost_that_does_not_fit_is_one_line(cost, value, message, registry, write_suite, tmp_path) -> None:
    suite = write_suite(SIZE, append=PLOT.format(cost=cost, value=value))
    with pytest.raises(UsageError, match=message):
        write_plots(run(suite, out=tmp_path, registry=registry, executor="inline"), registry)


def test_the_front_of_a_cost_that_is_best_high_runs_from_high_to_low() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    points = [Point(x, value, value, value, 1) for x, value in ((0.9, 0.2), (0.8, 0.5), (0.7, 0.4), (0.6, 0.9))]
    assert list(draw_front(axes, points, "number", "max").get_xdata()) == [0.9, 0.8, 0.6, 0.6]
    assert list(draw_front(axes, points, "number").get_xdata()) == [0.6, 0.9]
