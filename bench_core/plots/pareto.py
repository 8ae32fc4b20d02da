"""Success against its cost, with the Pareto front: it shows attacks that are better only because they compute more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from ..scores.pareto import AttackKey, attack_of, front, passes
from ..scores.scored import LabelledScore, Scores
from ..suite.outputs import ParetoPlotEntry
from .layout import finish, mark_white_boxes, panels
from .lines import band, check_one_a_point, error_bars
from .series import Point, counted, grouped, numeric, point, wanted
from .style import look, text

STEP = "step"
FRONT_COLOUR = "#BBBBBB"


def draw_pareto(scores: Scores, plot: ParetoPlotEntry, title: str) -> Figure:
    """Draw scores against passes through the source, with a line of one point, or of one for each step, per label.

    Raises ValueError where several scores fall in one point.
    """
    cost = passes(scores)
    chosen = [score for score in wanted(scores, plot.value, plot.where) if attack_of(score) in cost]
    by_panel, names = grouped(chosen, plot.panels), list(grouped(chosen, plot.lines))
    figure, axes = panels(list(by_panel))
    legend: dict[str, Any] = {}
    counts: list[int] = []
    for key, members in by_panel.items():
        shown: list[Point] = []
        for name, own in grouped(members, plot.lines).items():
            points = curve(own, plot, cost)
            if points:
                draw = band if len(points) > 1 else error_bars
                artist = draw(axes[key], points, look(names.index(name)), plot.format)
                legend.setdefault(" ".join(map(text, name)), artist)
            shown += points
        counts += [point.n for point in shown]
        if shown:
            legend.setdefault("Pareto front", draw_front(axes[key], shown, plot.format))
        axes[key].set_xscale("log")
        axes[key].xaxis.set_major_locator(LogLocator(10, (1, 2, 5), numticks=9))
        axes[key].xaxis.set_major_formatter(ScalarFormatter())
        axes[key].xaxis.set_minor_formatter(NullFormatter())
    over = f"; mean over the black-box {' and '.join(f'{name}s' for name in plot.mean_over)}" if plot.mean_over else ""
    stepwise = any(STEP in score.labels for score in chosen)
    notes = [
        f"{counted(counts)}{over}; bands and bars: 95% intervals",
        "passes: forwards and backwards through the source for each attacked image"
        + ("; one point per step" if stepwise else ""),
        mark_white_boxes(axes, by_panel, bool(plot.mean_over)),
    ]
    y = f"{plot.value} (%)" if plot.format == "percent" else plot.value
    finish(figure, title, notes, "passes", y, legend)
    return figure


def curve(own: Sequence[LabelledScore], plot: ParetoPlotEntry, cost: Mapping[AttackKey, float]) -> list[Point]:
    """Return the points of one line in the order of their cost.

    A score of the k-th of n steps costs k/n of the attack's total; a mean over several sources the mean of their costs.
    """
    steps = grouped(own, [STEP])
    last = max((numeric(step) or 1.0 for (step,) in steps), default=1.0)
    made = []
    for (step,), same in steps.items():
        check_one_a_point(same, STEP, plot.mean_over)
        price = float(np.mean([cost[attack_of(score)] for score in same]))
        made.append(point(same, price * (numeric(step) or last) / last))
    return sorted((found for found in made if found is not None), key=lambda found: found.x)


def draw_front(axes: Axes, points: Sequence[Point], format: str) -> Any:
    factor = 100 if format == "percent" else 1
    best = [points[place] for place in front([(point.x, point.value) for point in points])]
    x = [point.x for point in best] + [max(point.x for point in points)]
    y = [factor * point.value for point in best]
    (artist,) = axes.step(
        x, [*y, y[-1]], where="post", color=FRONT_COLOUR, linewidth=4, zorder=0, solid_capstyle="butt"
    )
    return artist
