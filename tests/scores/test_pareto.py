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
from bench_core.suite.outputs import ParetoPlotEntry
from tests.properties import UNTIMED

NUMBERS = st.integers(0, 5).map(float) | st.just(math.nan)
PGD = '"PGD" = { recipe = "pgd" }'
BOTH = (
    (PGD, f'{PGD}\n"VR" = {{ recipe = "vr", copies = 3 }}\n"N" = {{ recipe = "noise" }}'),
    ('targets = ["A", "B"]', 'targets = ["B"]\ngate."transfer.success" = { better = "higher" }'),
)


@UNTIMED
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), st.booleans())
def test_nothing_on_the_front_is_beaten_and_all_else_is(points: list[tuple[float, float]], highest: bool) -> None:
    sign = 1 if highest else -1
    real = [p for p in points if not any(map(math.isnan, p))]

    def beaten(p: tuple[float, float]) -> bool:
        return any(q[0] <= p[0] and sign * q[1] >= sign * p[1] and q != p for q in real)

    found = front(points, highest)
    assert sorted(found) == [i for i, p in enumerate(points) if p in real and not beaten(p)]
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


@pytest.fixture
def result(write_suite, registry, tmp_path):
    return run(write_suite(*BOTH), out=tmp_path, registry=registry, executor="inline")


def test_a_curve_stands_at_its_last_step_at_what_was_counted(result) -> None:
    cost = passes(result.scores)
    assert cost["A", "PGD", "linf"] == 4 + 4
    assert cost["A", "VR", "linf"] == 3 * (4 + 4)
    plot = ParetoPlotEntry(name="price", value="transfer.at_step", kind="pareto", mean_over=["source", "target"])
    steps = [each for each in result.scores if each.metric == "transfer.at_step"]
    for (attack,), own in grouped(steps, ["attack"]).items():
        points = curve(own, plot, cost)
        total = cost["A", attack, "linf"]
        assert [each.x for each in points] == pytest.approx([total * (k + 1) / len(points) for k in range(len(points))])
        black = [e.score.value for e in own if e.labels["step"] == 4 and e.labels["relation"] == "black-box"]
        if black:
            assert points[-1].value == pytest.approx(np.mean(black))
    success = [each for each in result.scores if each.metric == "transfer.success" and attack_of(each)[1] == "VR"]
    assert [each.x for each in curve(success, plot, cost)] == [24]


def test_the_leaderboard_marks_what_nothing_cheaper_reaches(result, registry) -> None:
    (sheet,) = leaderboards(read_contributions([str(result.folder)], registry))
    names = [column.name for column in sheet.columns]
    rows = [dict(zip(names, row, strict=True)) for row in sheet.rows]
    cost = [(each["forwards"] + each["backwards"], each["transfer.success"]) for each in rows]
    assert [each["front"] == "yes" for each in rows] == [place in front(cost) for place in range(len(rows))]
    assert {each["attack"]: each["front"] for each in rows}["N"] == "yes"  # it costs nothing
