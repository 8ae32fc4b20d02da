"""Curves against eps: panels of one norm share the axis of eps, those of several norms have one each."""

import pytest

from bench_core.plots.lines import draw_lines
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.scored import LabelledScore, Scores
from bench_core.statistics import proportion
from bench_core.suite.plot_entries import CurvesPlotEntry


@pytest.mark.parametrize(("norms", "shared"), [(("linf", "l2"), False), (("l2", "l2"), True)])
def test_an_eps_in_one_norm_does_not_stretch_the_axis_of_another(norms: tuple[str, str], shared: bool) -> None:
    made = []
    for source, norm, largest in (("A", norms[0], 0.1), ("B", norms[1], 2.0)):
        for share in (0.0, 0.5, 1.0):
            labels = Labels.of({"source": source, "attack": "X", "norm": norm, "eps": str(share * largest)})
            score = proportion("worst", [True, False, True, share < 1])
            made.append(LabelledScore("curve.worst", labels, score, images=ImageSet.of("selected", range(4))))
    plot = CurvesPlotEntry(
        name="curves", kind="curves", value="curve.worst", x="eps", lines=["attack"], panels=["source"]
    )
    first, second = draw_lines(Scores(made), plot, "title").axes
    assert (first.get_xlim() == second.get_xlim()) == shared
    assert first.get_ylim() == second.get_ylim()
    assert second.get_xlim()[1] >= 2
    if not shared:
        assert first.get_xlim()[1] < 0.2
