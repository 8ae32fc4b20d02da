"""Plots: every kind shows its numbers, N and interval, is reproducible to the byte, and labels are inert."""

import re
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from bench_core import load_result
from bench_core.plots import write_plots
from bench_core.plots.draw import draw
from bench_core.plots.layout import finish, panels
from bench_core.plots.maps import as_squares
from bench_core.plots.style import plot_style
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.scores.images import ImageSet
from bench_core.scores.labels import Labels
from bench_core.scores.rows import RowSet
from bench_core.statistics import bootstrap, pearson, proportion, wilson
from bench_metrics.transfer import leave_one_out

from ..toys import ToyImages


def texts_of(result: Result, name: str, registry: Registry) -> list[str]:
    """Return every text on a plot."""
    from matplotlib.text import Text

    plot = next(plot for plot in result.suite.plots if plot.name == name)
    with plot_style():
        figure = draw(result, plot, registry)
        figure.draw_without_rendering()
        return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def test_every_kind_is_saved_twice_and_gives_the_same_bytes_again(result: Result, registry: Registry) -> None:
    files = write_plots(result, registry)
    names = {plot.name.replace(" ", "_") for plot in result.suite.plots}
    assert {path.name for path in files} == {f"{name}.{suffix}" for name in names for suffix in ("svg", "png")}
    assert {path.parent for path in files} == {result.folder / "plots"}
    first = {path.name: path.read_bytes() for path in files}
    again = {path.name: path.read_bytes() for path in write_plots(load_result(result.folder, registry), registry)}
    assert again == first
    for name, content in first.items():
        if name.endswith("svg"):
            assert not re.search(rb"<dc:date>|<script|20\d\d-\d\d-\d\dT", content)


@pytest.mark.parametrize(
    "name",
    ["heatmap", "curves", "curves of the mean", "sweep", "stacked", "scatter", "histogram", "distances", "maps"],
)
def test_each_kind_states_the_number_of_images_and_its_intervals(result: Result, registry: Registry, name: str) -> None:
    whole = " ".join(texts_of(result, name, registry)).replace("\n", " ")
    assert "N = 12 images" in whole
    if name not in ("histogram", "maps"):
        assert "95%" in whole


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("heatmap", ["value_label"]),
        ("curves", ["x_label", "value_label"]),
        ("sweep", ["x_label", "value_label"]),
        ("stacked", ["value_label"]),
        ("scatter", ["x_label", "y_label"]),
        ("histogram", ["value_label"]),
        ("distances", ["x_label"]),
        ("maps", ["value_label"]),
        ("price", ["value_label"]),
        ("size", ["value_label", "cost_label"]),
    ],
)
def test_a_suite_can_name_the_axes(result: Result, registry: Registry, name: str, keys: list[str]) -> None:
    labels = {key: f"a name for {key}, logits" for key in keys}
    plots = [plot.model_copy(update=labels) for plot in result.suite.plots if plot.name == name]
    named = replace(result, suite=result.suite.model_copy(update={"plots": plots}))
    shown = " ".join(texts_of(named, name, registry)).replace("\n", " ")
    assert all(label in shown for label in labels.values())
    if name not in ("scatter", "distances"):  # whose value is a label of the suite, not a score
        assert plots[0].value not in shown


@pytest.mark.parametrize("name", ["heatmap", "curves", "histogram", "maps"])
def test_labels_are_not_rendered_as_mathematics(result: Result, registry: Registry, name: str) -> None:
    shown = " ".join(texts_of(result, name, registry)).replace("\n", " ")
    assert r"$\frac{1}{0}$" in shown  # as mathematics it would be a fraction, or an error
    assert "\u0007" not in shown


def test_lines_differ_in_more_than_their_colour(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "curves")
    with plot_style():
        lines = [line for line in draw(result, plot, registry).axes[0].lines if len(line.get_xdata()) > 1]
    assert len(lines) == 4  # noise has one step
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 4
    assert len({line.get_marker() for line in lines}) == 4


def test_curves_show_the_scores_and_their_intervals(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "curves of the mean")
    with plot_style():
        axes = draw(result, plot, registry).axes[0]
    fooled = result.arrays("transfer", source="A", attack="PGD", target="B")["fooled"].astype(float)  # A is white-box
    assert axes.lines[0].get_ydata() == pytest.approx(fooled.mean(0))
    band = axes.collections[0].get_paths()[0].vertices
    for step in range(4):
        edges = band[np.isclose(band[:, 0], step + 1), 1]
        assert (edges.min(), edges.max()) == pytest.approx(bootstrap(fooled[:, step]), abs=1e-6)


def test_a_heatmap_shows_each_score_in_its_cell(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "heatmap")
    with plot_style():
        figure = draw(result, plot, registry)
    for axes, attack in zip(figure.axes, result.suite.attacks, strict=True):
        columns = [tick.get_text() for tick in axes.get_xticklabels()]
        lines = [tick.get_text() for tick in axes.get_yticklabels()]
        matrix = axes.images[0].get_array()
        written = {tuple(map(round, artist.get_position())): artist.get_text() for artist in axes.texts}
        for (row, source), (column, target) in product(enumerate(lines), enumerate(columns)):
            rows = result.arrays("transfer", source=source, attack=attack, target=target)
            success = proportion("success", leave_one_out(rows["fooled"].astype(bool))[0])
            assert matrix[row, column] == pytest.approx(100 * success.value)
            half = 50 * (success.high - success.low)
            assert written[column, row] == f"{100 * success.value:.1f}\n±{half:.1f}"


def test_a_sweep_shows_the_scores_at_their_options_with_their_intervals(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "sweep")
    with plot_style():
        axes = draw(result, plot, registry).axes[0]
    (bars,) = axes.containers  # A alone: all targets of A+B are white-box
    points, _, (segments,) = bars.lines
    assert points.get_xdata() == pytest.approx([0, 1, 4])
    for x, y, segment in zip(points.get_xdata(), points.get_ydata(), segments.get_segments(), strict=True):
        rows = result.arrays("transfer", source="A", attack=f"IR strength={x:g}", target="B")
        outcomes = leave_one_out(rows["fooled"].astype(bool))[0].astype(float)
        assert y == pytest.approx(outcomes.mean())
        assert sorted(segment[:, 1]) == pytest.approx(bootstrap(outcomes))


def test_a_histogram_shows_the_shares_of_each_bin_and_the_means(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "histogram")
    with plot_style():
        figure = draw(result, plot, registry)
    values_of = [row.arrays["per_cell"].ravel() for row in result.rows if row.metric == "interaction"]
    edges = np.linspace(*np.quantile(np.concatenate(values_of), [0.01, 0.99]), plot.bins + 1)
    for axes, source in zip(figure.axes, ("A", "A+B"), strict=True):
        outlines, means = axes.lines[::2], axes.lines[1::2]
        for attack, outline, mark in zip(result.suite.attacks, outlines, means, strict=True):
            values = result.arrays("interaction", source=source, attack=attack)["per_cell"].astype(float).ravel()
            counts = [((low <= values) & (values < high)).sum() for low, high in pairwise(edges)]
            counts[-1] += (values == edges[-1]).sum()
            assert outline.get_xdata() == pytest.approx(edges)
            assert outline.get_ydata()[:-1] == pytest.approx(np.array(counts) / len(values))
            assert mark.get_xdata()[0] == pytest.approx(values.mean())


@pytest.mark.parametrize("others", [False, True])
def test_distances_are_the_shares_of_images_that_are_fooled_within_them(
    result: Result, registry: Registry, others: bool
) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "distances")
    found = [result.arrays("far", source="A", attack=attack, target="A")["distance"] for attack in result.suite.attacks]
    least = np.min(found, axis=0)
    if others:  # another run has fooled the first image, almost as it is
        least[0] = min(least[0], 1e-3)
        labels = Labels.of({"source": "A", "target": "A", "attack": "DDN", "norm": "linf", "run": "other/toy"})
        reached = RowSet("best", labels, ImageSet.of("selected", [0]), {"distance": np.array([1e-3])})
        result = replace(result, elsewhere=(reached,))
    with plot_style():
        (axes,) = (figure := draw(result, plot, registry)).axes
    end = min(least.max(), 0.1)
    for distances, line in zip([least, *found], axes.lines, strict=True):
        x, y = line.get_xdata(), line.get_ydata()
        assert x[-1] == pytest.approx(end)
        for eps in np.linspace(0, end, 50):
            drawn = y[np.searchsorted(x, eps, side="right") - 1]
            assert drawn == pytest.approx(100 * (distances <= eps).mean())
    (band,) = axes.collections  # five attacks and the best of all: only the latter's
    edges = band.get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(100 * wilson((least <= end).sum(), len(least))[1])
    figure.draw_without_rendering()
    assert figure.get_supxlabel().startswith("L-inf distance\n")
    assert ("other runs" in figure.get_supxlabel()) == others


def test_networks_or_attacks_that_share_a_line_are_refused(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "distances")
    with plot_style(), pytest.raises(ValueError, match="several attacks share a line"):
        draw(result, plot.model_copy(update={"lines": ["budget"]}), registry)
    with plot_style(), pytest.raises(ValueError, match="several networks share the panel"):
        draw(result, plot.model_copy(update={"panels": [], "where": {}}), registry)


def test_maps_show_the_values_of_the_first_images_and_their_mean(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "maps")
    with plot_style():
        figure = draw(result, plot, registry)
    grid = np.array(figure.axes[: 3 * (1 + len(result.suite.attacks))]).reshape(-1, 3)
    clean = ToyImages().load(result.selected[:2])
    for column in range(2):
        np.testing.assert_allclose(grid[0][column].images[0].get_array(), 1 - clean[column][0])
    for line, attack in zip(grid[1:], result.suite.attacks, strict=True):
        values = result.arrays("round", source="A", attack=attack)["map"].reshape(-1, 2, 2)
        for column in range(2):
            np.testing.assert_allclose(line[column].images[1].get_array(), values[column])
        np.testing.assert_allclose(line[2].images[0].get_array(), values.mean(0), rtol=1e-6)


def test_the_scatter_plot_shows_r(result: Result, registry: Registry) -> None:
    x, y = [], []
    for attack in result.suite.attacks:
        x.append(result.arrays("interaction", source="A", attack=attack)["per_cell"].mean() / 3)
        y.append(result.arrays("utility", source="A", attack=attack, target="B")["utility"].mean())
    r, low, high = pearson(x, y)
    assert any(f"r = {r:.2f} [{low:.2f}, {high:.2f}]" in text for text in texts_of(result, "scatter", registry))


def test_stacked_parts_add_up_above_and_below_zero(result: Result, registry: Registry) -> None:
    plot = next(plot for plot in result.suite.plots if plot.name == "stacked")
    with plot_style():
        axes = draw(result, plot, registry).axes[0]
    for place, source in enumerate(("A", "A+B")):
        parts = [
            result.arrays("interaction", source=source, attack=attack)["per_cell"].mean(1) / 3
            for attack in result.suite.attacks
        ]
        drawn = [bar for bar in axes.patches if abs(bar.get_x() + bar.get_width() / 2 - place) < 0.01]
        assert [bar.get_height() for bar in drawn] == pytest.approx([part.mean() for part in parts])
        for up in (True, False):
            one_sided = [bar for bar in drawn if (bar.get_height() >= 0) == up]
            for below, bar in enumerate(one_sided):
                assert bar.get_y() == pytest.approx(sum(part.get_height() for part in one_sided[:below]))
        interval, diamond = (line for line in axes.lines if set(line.get_xdata()) == {place})
        assert diamond.get_ydata()[0] == pytest.approx(sum(part.mean() for part in parts))
        assert sorted(interval.get_ydata()) == pytest.approx(bootstrap(sum(parts)), rel=1e-5)


def test_white_box_pairs_are_marked(result: Result, registry: Registry) -> None:
    titles = [text for text in texts_of(result, "curves", registry) if "→" in text]
    assert [text.endswith("°") for text in titles] == [True, False, True, True]  # A on A; A+B on both
    assert any("white-box" in text for text in texts_of(result, "heatmap", registry))


def test_maps_take_square_rows_only() -> None:
    assert as_squares(np.arange(8).reshape(2, 4)).tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    with pytest.raises(ValueError, match="do not form a square"):
        as_squares(np.zeros((2, 5)))


def test_a_long_label_of_the_vertical_axis_leaves_the_legend_free() -> None:
    figure, axes = panels([("VGG",), ("ResNet-S",)], ["source"])
    (artist,) = axes[("VGG",)].plot([1, 2], [3, 4])
    label = "transfer success, difference from PGD (percentage points)"
    finish(figure, "A title", ["a note"], "step", label, {"IR": artist, "MI": artist})
    figure.draw_without_rendering()
    text, (legend,) = figure._supylabel, figure.legends
    assert text.get_text().replace("\n", " ") == label
    assert not text.get_window_extent().overlaps(legend.get_window_extent())
    assert text.get_window_extent().y0 >= 0
