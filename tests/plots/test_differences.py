"""Plots with a baseline show differences paired by image, with their intervals, and a line at zero."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bench_core import load_suite
from bench_core.errors import UsageError
from bench_core.plots import write_plots
from bench_core.plots.differences import differences
from bench_core.plots.draw import draw
from bench_core.plots.style import plot_style
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.run_suite import resolve_suite
from bench_core.scores.images import ImageSet
from bench_core.scores.scored import Scores
from bench_core.statistics import bootstrap

from .conftest import EVERY_KIND

PGD = {"attack": "PGD"}


def drawn(result: Result, name: str, registry: Registry, **changes: object):
    plot = next(plot for plot in result.suite.plots if plot.name == name).model_copy(update=changes)
    with plot_style():
        figure = draw(result, plot, registry)
        figure.draw_without_rendering()
    return figure


def texts(figure) -> str:
    from matplotlib.text import Text

    return " ".join(artist.get_text() for artist in figure.findobj(Text)).replace("\n", " ")


def fooled(result: Result, attack: str, source: str, target: str) -> np.ndarray:
    return result.arrays("transfer", source=source, attack=attack, target=target)["fooled"].astype(float)


def test_a_curve_shows_the_paired_differences_at_each_step_with_their_intervals(
    result: Result, registry: Registry
) -> None:
    figure = drawn(result, "curves of the mean", registry, baseline=PGD, value_label="transfer success")
    (axes,) = figure.axes
    assert "transfer success, difference from PGD" in texts(figure)
    assert "paired by image; zero: PGD" in texts(figure)
    assert "95% intervals" in texts(figure)
    compared = [attack for attack in result.suite.attacks if attack != "PGD"]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 4]
    swept = [attack for attack in compared if attack.startswith("IR")]
    assert len(curves) == len(swept) == 3  # the noise has one step
    for curve, band, attack in zip(curves, axes.collections, swept, strict=False):
        gaps = fooled(result, attack, "A", "B") - fooled(result, "PGD", "A", "B")  # A on A is white-box
        assert curve.get_ydata() == pytest.approx(gaps.mean(0))
        vertices = band.get_paths()[0].vertices
        for step in range(4):
            edges = vertices[np.isclose(vertices[:, 0], step + 1), 1]
            assert (edges.min(), edges.max()) == pytest.approx(bootstrap(gaps[:, step]), abs=1e-6)


def zero_lines(axes) -> list:
    return [line for line in axes.lines if list(line.get_xdata()) == [0, 1] and list(line.get_ydata()) == [0, 0]]


def test_differences_and_negative_values_have_a_line_at_zero(result: Result, registry: Registry) -> None:
    assert zero_lines(drawn(result, "curves of the mean", registry, baseline=PGD).axes[0])
    assert not zero_lines(drawn(result, "curves of the mean", registry).axes[0])  # shares are never negative
    negative = [replace(s, score=replace(s.score, value=-s.score.value, low=-s.score.high, high=-s.score.low))
                for s in result.scores]  # fmt: skip
    mirrored = replace(result, scores=Scores(negative))
    assert zero_lines(drawn(mirrored, "curves of the mean", registry).axes[0])


def test_a_heatmap_shows_the_difference_of_each_pair_and_marks_white_boxes(result: Result, registry: Registry) -> None:
    figure = drawn(result, "heatmap", registry, value="transfer.last", baseline=PGD)
    compared = [attack for attack in result.suite.attacks if attack != "PGD"]
    assert "(percentage points)" in texts(figure)
    assert len(figure.axes) == len(compared)
    for axes, attack in zip(figure.axes, compared, strict=True):
        columns = [tick.get_text() for tick in axes.get_xticklabels()]
        lines = [tick.get_text() for tick in axes.get_yticklabels()]
        written = {tuple(map(round, artist.get_position())): artist.get_text() for artist in axes.texts}
        for (row, source), (column, target) in product(enumerate(lines), enumerate(columns)):
            gaps = (fooled(result, attack, source, target) - fooled(result, "PGD", source, target))[:, -1]
            low, high = bootstrap(gaps)
            assert written[column, row] == f"{100 * gaps.mean():+.1f}\n±{50 * (high - low):.1f}"
        assert len(axes.patches) == 3  # A on A, A+B on both
        norm = axes.images[0].norm
        assert norm.vmin == -norm.vmax, "zero is the middle of the shades"


def test_a_sweep_shows_the_difference_from_one_of_its_values(result: Result, registry: Registry) -> None:
    figure = drawn(result, "sweep", registry, value="transfer.last", baseline={"attack": "IR strength=0"})
    (bars,) = figure.axes[0].containers
    points, _, (segments,) = bars.lines
    assert points.get_xdata() == pytest.approx([1, 4])
    for x, y, segment in zip(points.get_xdata(), points.get_ydata(), segments.get_segments(), strict=True):
        gaps = (fooled(result, f"IR strength={x:g}", "A", "B") - fooled(result, "IR strength=0", "A", "B"))[:, -1]
        assert y == pytest.approx(gaps.mean())
        assert sorted(segment[:, 1]) == pytest.approx(bootstrap(gaps))


def test_the_baseline_can_be_another_label_than_the_attack(result: Result) -> None:
    found = differences(result.scores, "transfer.last", {"source": "A"}, result.suite.attack_labels)
    assert {score.labels["source"] for score in found} == {"A+B"}
    assert len(found) == len(result.suite.attacks) * len(result.suite.targets)
    for score in found:
        attack, target = score.labels["attack"], score.labels["target"]
        gaps = fooled(result, attack, "A+B", target) - fooled(result, attack, "A", target)
        assert score.score.value == pytest.approx(gaps[:, -1].mean())
        assert score.white_box, "A+B knows both targets"


def test_a_difference_is_white_box_if_the_baseline_is(result: Result) -> None:
    found = differences(result.scores, "transfer.last", {"target": "A"}, result.suite.attack_labels)
    assert [score.labels["target"] for score in found] == ["B"] * len(found)
    assert all(score.white_box for score in found)  # on A, source A is white-box; on B, it is not


def test_scores_of_other_images_are_left_out_and_none_at_all_is_an_error(result: Result, registry: Registry) -> None:
    def moved(attack: str) -> Scores:
        elsewhere = ImageSet.of("selected", range(100, 112))
        return Scores(replace(s, images=elsewhere) if s.labels.attack == attack else s for s in result.scores)

    found = differences(moved("IR strength=1"), "transfer.last", PGD, result.suite.attack_labels)
    assert "IR strength=1" not in {score.labels.attack for score in found}
    assert "IR strength=4" in {score.labels.attack for score in found}
    plots = [plot.model_copy(update={"baseline": PGD}) for plot in result.suite.plots if plot.name == "heatmap"]
    changed = replace(result, scores=moved("PGD"), suite=result.suite.model_copy(update={"plots": plots}))
    with pytest.raises(UsageError, match=r'no paired difference from the baseline attack = "PGD".*different images'):
        write_plots(changed, registry)
    with pytest.raises(ValueError, match="no score can be compared"):
        differences(result.scores, "transfer.last", {"attack": "nobody"}, result.suite.attack_labels)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ('{ attack = "PDG" }', "plots.0.baseline.attack"),
        ('{ colour = "red" }', 'unknown dimension "colour"'),
        ('"PGD"', "baseline: input should be a valid dictionary"),
    ],
)
def test_a_mistake_in_a_baseline_is_reported_before_the_run(
    registry: Registry, write_suite: Callable[..., str], baseline: str, message: str
) -> None:
    text = EVERY_KIND.replace('name = "heatmap"', f'name = "heatmap"\nbaseline = {baseline}')
    with pytest.raises(UsageError) as caught:
        resolve_suite(load_suite(write_suite(append=text)), registry)
    assert message in "\n".join(map(str, caught.value.faults))
