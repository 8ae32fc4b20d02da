"""Scores against their cost, with the Pareto front: which attacks are better only because they compute or show more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from ..scores.pareto import AttackKey, attack_of, costs, front, passes
from ..scores.scored import LabelledScore, Scores
from ..suite.plot_entries import ParetoPlotEntry
from .layout import finish, mark_white_boxes, panels
from .lines import band, check_distinct_points, error_bars
from .series import Point, averaged, count_text, drawable, grouped, mean_note, numeric, point, value_axis
from .style import look, text

STEP = "step"
FRONT_COLOUR = "#BBBBBB"
PASSES = "forward and backward passes through the source per image"


def draw_pareto(scores: Scores, plot: ParetoPlotEntry, title: str) -> Figure:
    """Draw scores against their cost: for each label of `lines` a point, or a curve over the steps.

    Args:
        scores: The scores of a run.
        plot: The suite's entry.
        title: The title.

    Raises:
        ValueError: Scores of one point differ in a label that the plot does not average over; or the cost is a score,
            which is of the last step, and the values are of every step.
    """
    cost = passes(scores) if plot.cost is None else costs(scores, plot.cost)
    chosen = [score for score in drawable(scores, plot.value, plot.where) if attack_of(score) in cost]
    by_panel, names = grouped(chosen, plot.panels), list(grouped(chosen, plot.lines))
    stepwise = any(STEP in score.labels for score in chosen)
    if stepwise and plot.cost is not None:
        raise ValueError(f"{plot.cost} is of the last step, but {plot.value} of every step (try transfer.last)")
    figure, axes = panels(list(by_panel), plot.panels)
    legend: dict[str, Any] = {}
    counts: list[int] = []
    for key, members in by_panel.items():
        shown: list[Point] = []
        for name, group in grouped(members, plot.lines).items():
            points = curve(group, plot, cost)
            if points:
                draw = band if len(points) > 1 else error_bars
                artist = draw(axes[key], points, look(names.index(name)), plot.format)
                legend.setdefault(" ".join(map(text, name)), artist)
            shown += points
        counts += [point.n for point in shown]
        if shown:
            legend.setdefault("Pareto front", draw_front(axes[key], shown, plot.format, plot.cost_best))
        if plot.cost is None and any(0 < point.x < math.inf for point in shown):  # noise alone makes no pass
            axes[key].set_xscale("log")
            axes[key].xaxis.set_major_locator(LogLocator(10, (1, 2, 5), numticks=9))
            axes[key].xaxis.set_major_formatter(ScalarFormatter())
            axes[key].xaxis.set_minor_formatter(NullFormatter())
    notes = [
        "; ".join(filter(None, [count_text(counts), mean_note(plot.mean_over), "bands and bars: 95% intervals"])),
        "one point per step" if stepwise else "",
        mark_white_boxes(axes, by_panel, bool(plot.mean_over)),
    ]
    y = value_axis(plot.value_label or plot.value, plot.format)
    x = PASSES
    if plot.cost is not None:
        best = "lowest" if plot.cost_best == "min" else "highest"
        x = f"{plot.cost_label or plot.cost} (the {best} is the best)"
    finish(figure, title, notes, x, y, legend)
    return figure


def curve(scores: Sequence[LabelledScore], plot: ParetoPlotEntry, cost: Mapping[AttackKey, float]) -> list[Point]:
    """Return the points of one line in the order of their cost.

    A score at step k of n costs k/n of the attack's total. A mean of scores costs the mean of their attacks' costs.

    Args:
        scores: The scores of one line.
        plot: The suite's entry.
        cost: The total cost of each attack.

    Raises:
        ValueError: Scores of one point differ in a label that the plot does not average over.
    """
    steps = grouped(scores, [STEP])
    last = max((numeric(step) or 1.0 for (step,) in steps), default=1.0)
    points = []
    for (step,), same in steps.items():
        check_distinct_points(same, STEP, plot.mean_over)
        members = averaged(same)  # an ensemble costs a pass for each of its members, so sources differ
        if members:
            total = float(np.mean([cost[attack_of(score)] for score in members]))
            points.append(point(same, total * (numeric(step) or last) / last))
    return sorted((drawn for drawn in points if drawn is not None), key=lambda drawn: drawn.x)


def draw_front(axes: Axes, points: Sequence[Point], format: str, cost_best: str = "min") -> Any:
    """Draw the Pareto front of points as steps; return its artist for the legend."""
    factor = 100 if format == "percent" else 1
    sign, last = (1, max) if cost_best == "min" else (-1, min)
    best = [points[index] for index in front([(sign * point.x, point.value) for point in points])]
    x = [point.x for point in best] + [last(point.x for point in points)]
    y = [factor * point.value for point in best]
    (artist,) = axes.step(
        x, [*y, y[-1]], where="post", color=FRONT_COLOUR, linewidth=4, zorder=0, solid_capstyle="butt"
    )
    return artist
