"""Curves with bands, and sweeps with error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..scores.scored import LabelledScore, Scores
from ..suite.plot_entries import CurvesPlotEntry, SweepPlotEntry
from .layout import finish, mark_white_boxes, panels
from .series import Point, count_text, difference_note, drawable, grouped, line, mean_note, numeric, value_axis
from .style import Look, look, text

ZERO_COLOUR = "#767676"
SHIFT = 0.008  # of the width of a line


def draw_lines(scores: Scores, plot: CurvesPlotEntry, title: str) -> Figure:
    """Draw scores against a numeric label, with a line for each label of `lines`.

    Axes with negative values or differences have a line at zero.

    Args:
        scores: The scores of a run; if the plot has a baseline, their differences from it.
        plot: The suite's entry.
        title: The title.

    Raises:
        ValueError: Scores of one point differ in a label that the plot does not average over.
    """
    chosen = drawable(scores, plot.value, plot.where)
    by_panel = grouped(chosen, plot.panels)
    names = list(grouped(chosen, plot.lines))
    norms = {score.labels.norm for score in chosen}  # an eps in one norm is no length in another
    figure, axes = panels(list(by_panel), plot.panels, share_x=plot.x != "eps" or len(norms) == 1)
    legend: dict[str, Any] = {}
    counts: list[int] = []
    sweep = isinstance(plot, SweepPlotEntry)
    negative = False
    for key, members in by_panel.items():
        for name, group in grouped(members, plot.lines).items():
            placed = [score for score in group if numeric(score.labels.get(plot.x, "")) is not None]
            check_distinct_points(placed, plot.x, plot.mean_over)
            points = line(placed, plot.x)
            if sweep:
                points = _shifted(points, names.index(name))
            if points:
                counts += [point.n for point in points]
                negative = negative or any(min(point.value, point.low) < 0 for point in points)
                artist = (error_bars if sweep else band)(axes[key], points, look(names.index(name)), plot.format)
                legend.setdefault(" ".join(map(text, name)), artist)
        if not sweep:
            integer = all((numeric(score.labels.get(plot.x, "")) or 0.0).is_integer() for score in members)
            axes[key].xaxis.set_major_locator(MaxNLocator(5, integer=integer))
    for panel in axes.values():
        if plot.baseline or negative:
            panel.axhline(0, color=ZERO_COLOUR, linewidth=0.8, zorder=0.5)
    parts = [count_text(counts), mean_note(plot.mean_over), f"{'bars' if sweep else 'bands'}: 95% intervals"]
    y = value_axis(plot.value_label or plot.value, plot.format, plot.baseline)
    relation = mark_white_boxes(axes, by_panel, bool(plot.mean_over))
    notes = ["; ".join(filter(None, parts)), difference_note(plot.baseline), relation]
    finish(figure, title, notes, plot.x_label or plot.x, y, legend)
    return figure


def check_distinct_points(scores: Sequence[LabelledScore], x: str, mean_over: Sequence[str]) -> None:
    """Check that the scores of a point differ only in labels that the plot averages over.

    Args:
        scores: The scores of one line.
        x: The label on the horizontal axis.
        mean_over: The labels that the plot averages over.

    Raises:
        ValueError: The scores of a point differ in another label.
    """
    allowed = {*mean_over, "relation"}
    for same_x in grouped(scores, [x]).values():
        differ = {
            name for score in same_x for name in score.labels if same_x[0].labels.get(name) != score.labels[name]
        } - allowed
        if differ:
            raise ValueError(
                f"several scores share a point; they differ in {', '.join(sorted(differ))} "
                "(add it to panels, lines, where or mean_over)"
            )


def _shifted(points: Sequence[Point], index: int) -> list[Point]:
    """Shift the points of the line `index` a little, so that the error bars of several lines do not overlap."""
    width = points[-1].x - points[0].x if points else 0.0
    return [replace(point, x=point.x + SHIFT * width * index) for point in points]


def _scaled(points: Sequence[Point], format: str) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return the places, values and both ends of the intervals of points, in percent if the plot is."""
    factor = 100 if format == "percent" else 1
    return (
        [point.x for point in points],
        *([factor * getattr(point, name) for point in points] for name in ("value", "low", "high")),
    )  # type: ignore[return-value]


def band(axes: Axes, points: Sequence[Point], style: Look, format: str) -> Any:
    """Draw a line with a band for its intervals; return its artist for the legend."""
    x, value, low, high = _scaled(points, format)
    axes.fill_between(x, low, high, color=style.colour, alpha=0.12, linewidth=0)
    marker_interval = max(1, len(x) // 6)
    (artist,) = axes.plot(
        x, value, color=style.colour, linestyle=style.dashes, linewidth=1.3, marker=style.marker, markersize=3.5,
        markevery=marker_interval,
    )  # fmt: skip
    return artist


def error_bars(axes: Axes, points: Sequence[Point], style: Look, format: str) -> Any:
    """Draw a line with error bars for its intervals; return its artist for the legend."""
    x, value, low, high = map(np.array, _scaled(points, format))
    return axes.errorbar(
        x, value, yerr=np.clip([value - low, high - value], 0, None),
        color=style.colour, linestyle=style.dashes, linewidth=1.2, marker=style.marker, markersize=4, capsize=2.5,
        elinewidth=0.9,
    )  # fmt: skip
