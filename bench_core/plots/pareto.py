"""Success against what it cost, with the Pareto front: an attack that is better only because it computes more shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from ..scores.pareto import AttackKey, attack_of, front, passes
from ..scores.summarise import LabelledScore
from ..suite.outputs import ParetoPlot
from .layout import finish, mark_white_boxes, panels
from .lines import band, error_bars, one_a_point
from .series import Point, counted, grouped, numeric, point, wanted
from .style import look, text

STEP = "step"
FRONT_COLOUR = "#BBBBBB"


def draw_pareto(scores: Sequence[LabelledScore], plot: ParetoPlot, title: str) -> Figure:
    """Draw scores against passes through the source, a line for each label of `lines`: a point, or one for each step.

    Raises ValueError where several scores fall in one point.
    """
    cost = passes(scores)
    chosen = [each for each in wanted(scores, plot.value, plot.where) if attack_of(each) in cost]
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
        counts += [each.n for each in shown]
        if shown:
            legend.setdefault("Pareto front", draw_front(axes[key], shown, plot.format))
        axes[key].set_xscale("log")
        axes[key].xaxis.set_major_locator(LogLocator(10, (1, 2, 5), numticks=9))
        axes[key].xaxis.set_major_formatter(ScalarFormatter())
        axes[key].xaxis.set_minor_formatter(NullFormatter())
    over = f"; mean over the black-box {' and '.join(f'{name}s' for name in plot.mean_over)}" if plot.mean_over else ""
    stepwise = any(STEP in each.labels for each in chosen)
    notes = [
        f"{counted(counts)}{over}; bands and bars: 95% intervals",
        "passes: images through the source, forwards and backwards together, for each attacked one"
        + ("; a point a step" if stepwise else ""),
        mark_white_boxes(axes, by_panel, bool(plot.mean_over)),
    ]
    y = f"{plot.value} (%)" if plot.format == "percent" else plot.value
    finish(figure, title, notes, "passes", y, legend)
    return figure


def curve(own: Sequence[LabelledScore], plot: ParetoPlot, cost: Mapping[AttackKey, float]) -> list[Point]:
    """Give the points of one line in the order of their cost: a score of the k-th of n steps has k/n of it all.

    A mean over several sources costs the mean of theirs.
    """
    steps = grouped(own, [STEP])
    last = max((numeric(step) or 1.0 for (step,) in steps), default=1.0)
    made = []
    for (step,), same in steps.items():
        one_a_point(same, STEP, plot.mean_over)
        price = float(np.mean([cost[attack_of(each)] for each in same]))
        made.append(point(same, price * (numeric(step) or last) / last))
    return sorted((each for each in made if each is not None), key=lambda each: each.x)


def draw_front(axes: Axes, points: Sequence[Point], format: str) -> Any:
    factor = 100 if format == "percent" else 1
    best = [points[place] for place in front([(each.x, each.value) for each in points])]
    x = [each.x for each in best] + [max(each.x for each in points)]
    y = [factor * each.value for each in best]
    (artist,) = axes.step(
        x, [*y, y[-1]], where="post", color=FRONT_COLOUR, linewidth=4, zorder=0, solid_capstyle="butt"
    )
    return artist
