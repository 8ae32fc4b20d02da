"""The Pareto front against its definition, and costs against the counted passes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_core import run
from bench_core.plots.pareto import curve
from bench_core.plots.series import grouped
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.scores.pareto import attack_of, front, passes
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
    plot = ParetoPlotEntry(name="price", value="transfer.at_step", kind="pareto", mean_over=["source", "target"])
    steps = [score for score in result.scores if score.metric == "transfer.at_step"]
    for (attack,), scores_of_attack in grouped(steps, ["attack"]).items():
        points = curve(scores_of_attack, plot, cost)
        total = np.mean([cost[source, attack, "linf"] for source in ("A", "A+B")])
        assert [point.x for point in points] == pytest.approx(
            [total * (k + 1) / len(points) for k in range(len(points))]
        )
        black = [
            e.score.value for e in scores_of_attack if e.labels["step"] == 4 and e.labels["relation"] == "black-box"
        ]
        if black:
            assert points[-1].value == pytest.approx(np.mean(black))
    success = [score for score in result.scores if score.metric == "transfer.success" and attack_of(score)[1] == "VR"]
    of_each_source = 3 * (4 + 4), 2 * 3 * (4 + 4)  # a pass through the ensemble A+B is one through each member
    assert [point.x for point in curve(success, plot, cost)] == [np.mean(of_each_source)]


def test_the_leaderboard_marks_the_pareto_front(result, registry) -> None:
    (sheet,) = leaderboards(read_contributions([str(result.folder)], registry))
    names = [column.name for column in sheet.columns]
    rows = [dict(zip(names, row, strict=True)) for row in sheet.rows]
    cost = [(row["forwards"] + row["backwards"], row["transfer.success"]) for row in rows]
    assert [row["front"] == "yes" for row in rows] == [place in front(cost) for place in range(len(rows))]
    assert {row["attack"]: row["front"] for row in rows}["N"] == "yes"  # it costs nothing
