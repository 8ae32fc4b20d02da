"""The points of a correlation, with the regression line, its band, and Pearson's r."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..scores.derived import Pair, points
from ..scores.scored import Scores
from ..statistics import pearson, regression
from ..suite.outputs import CorrelationEntry
from ..suite.plot_entries import ScatterPlotEntry
from ..types import Score
from .layout import finish, mark_white_boxes, panels
from .series import Key, count_text, key_of
from .style import look, text


def draw_scatter(
    scores: Scores, plot: ScatterPlotEntry, correlation: CorrelationEntry, varying: set[str], title: str
) -> Figure:
    """Draw axes for each group of points of a correlation.

    Args:
        scores: The scores of a run.
        plot: The suite's entry.
        correlation: The correlation that the plot names.
        varying: The labels in which the points of a group differ.
        title: The title.

    Raises:
        ValueError: Two groups share a panel.
    """
    by_panel: dict[Key, list[Pair]] = {}
    for group in points(scores, correlation, varying).values():
        shown = [pair for pair in group if not any(score.void for score in pair) and pair[1].labels.matches(plot.where)]
        if not shown:
            continue
        key = key_of(shown[0][1], plot.panels)
        if key in by_panel:
            raise ValueError(
                f"several groups of points share the panel {' '.join(key)} (add labels to panels or where)"
            )
        by_panel[key] = shown
    names = list(dict.fromkeys(key_of(y, plot.markers) for pairs in by_panel.values() for _, y in pairs))
    figure, axes = panels(list(by_panel), plot.panels, (2.6, 2.3), share=False)
    legend: dict[str, Any] = {}
    for key, pairs in by_panel.items():
        _line_and_r(axes[key], pairs)
        for name in names:
            marked = [pair for pair in pairs if key_of(pair[1], plot.markers) == name]
            legend.setdefault(_label(plot, name), _points(axes[key], marked, names.index(name)))
    n = [y.score.n for pairs in by_panel.values() for _, y in pairs]
    note = (
        f"{count_text([len(pairs) for pairs in by_panel.values()], 'points')}, one for each attack, each the mean of "
        f"{count_text(n)} with its 95% intervals; line: least squares, with its 95% band; "
        "r: Pearson's correlation with Fisher's 95% interval"
    )
    relation = mark_white_boxes(axes, {key: [y for _, y in pairs] for key, pairs in by_panel.items()}, False)
    finish(figure, title, [note, relation], plot.x_label or correlation.x, plot.y_label or correlation.y, legend)
    return figure


def _label(plot: ScatterPlotEntry, name: Key) -> str:
    return ", ".join(
        f"{dimension} = {text(value)}" if value else f"no {dimension}"
        for dimension, value in zip(plot.markers, name, strict=True)
    )


def _points(axes: Axes, pairs: Sequence[Pair], index: int) -> Any:
    style = look(index)
    x, y = ([pair[side].score for pair in pairs] for side in (0, 1))
    return axes.errorbar(
        [s.value for s in x], [s.value for s in y],
        xerr=_error_sizes(x), yerr=_error_sizes(y),
        fmt=style.marker, color=style.colour, markersize=4, elinewidth=0.5, markerfacecolor="none" if index else None,
    )  # fmt: skip


def _error_sizes(scores: Sequence[Score]) -> list[list[float]]:
    """Return how far the intervals extend below and above the values."""
    return [[max(0.0, s.value - s.low) for s in scores], [max(0.0, s.high - s.value) for s in scores]]


def _line_and_r(axes: Axes, pairs: Sequence[Pair]) -> None:
    """Draw the regression line with its band, and add r to the title; nothing where r is undefined."""
    x, y = (np.array([pair[side].score.value for pair in pairs]) for side in (0, 1))
    r, low, high = pearson(x, y)
    if math.isnan(r):
        return
    along = np.linspace(x.min(), x.max(), 60)
    line, lower, upper = regression(x, y).at(along)
    axes.plot(along, line, color="#444444", linewidth=1)
    axes.fill_between(along, lower, upper, color="#444444", alpha=0.15, linewidth=0)
    title = axes.get_title(loc="left")
    axes.set_title(f"{title}\nr = {r:.2f} [{low:.2f}, {high:.2f}]".strip(), loc="left")
