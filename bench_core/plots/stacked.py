"""Stacked bars: positive parts above zero, negative parts below."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..scores.images import Unpairable, joined
from ..scores.scored import LabelledScore, Scores
from ..statistics import bootstrap
from ..suite.outputs import StackedPlotEntry
from .layout import finish, mark_white_boxes, panels
from .series import counted, grouped, key_of, wanted
from .style import text

SHADES = "cividis"  # parts are ordered, and so are its shades in grey
WRITTEN = 0.08  # of the tallest bar: a lower part has no room for its name
BAR = 0.62  # of the space between two bars


def draw_stacked(scores: Scores, plot: StackedPlotEntry, title: str) -> Figure:
    """Draw a bar for each label of `bars`, with a part for each label of `parts`, and a diamond at the parts' sum.

    Raises ValueError where two scores fall in one part.
    """
    chosen = wanted(scores, plot.value, plot.where)
    by_panel = grouped(chosen, plot.panels)
    bars, parts = list(grouped(chosen, plot.bars)), list(grouped(chosen, plot.parts))
    shades = mpl.colormaps[SHADES].resampled(max(2, len(parts)))
    figure, axes = panels(list(by_panel), (0.75 * len(bars) + 1.2, 2.6))
    factor = 100 if plot.format == "percent" else 1
    tallest = max(
        (abs(factor * total) for members in by_panel.values() for total in _heights(members, plot)), default=1.0
    )
    legend: dict[str, Any] = {}
    for key, members in by_panel.items():
        for place, bar in enumerate(bars):
            own = [score for score in members if key_of(score, plot.bars) == bar]
            ends = {True: 0.0, False: 0.0}
            for part, scored in grouped(own, plot.parts).items():
                if len(scored) > 1:
                    raise ValueError("several scores fall in one part; add to panels, bars, parts or where")
                value, shade = factor * scored[0].score.value, shades(parts.index(part))
                up = value >= 0
                drawn = axes[key].bar(place, value, BAR, ends[up], color=shade, edgecolor="w", linewidth=0.5)
                legend.setdefault(" ".join(map(text, part)), drawn)
                _write(axes[key], (place, ends[up] + value / 2), " ".join(part), value, WRITTEN * tallest, shade)
                ends[up] += value
            _sum(axes[key], place, own, factor)
        axes[key].axhline(0, color="k", linewidth=0.6)
        axes[key].set_xticks(range(len(bars)), [" ".join(map(text, bar)) for bar in bars], rotation=30, ha="right")
        axes[key].tick_params(axis="x", length=0)
    ordered = {" ".join(map(text, part)): legend[" ".join(map(text, part))] for part in parts}
    note = f"{counted([score.score.n for score in chosen])}; parts: {' '.join(plot.parts)}; diamonds: their sum"
    notes = [f"{note}, with its 95% interval", mark_white_boxes(axes, by_panel, False)]
    y = f"{plot.value} (%)" if plot.format == "percent" else plot.value
    finish(figure, title, notes, " ".join(plot.bars), y, ordered)
    return figure


def _heights(scores: Sequence[LabelledScore], plot: StackedPlotEntry) -> list[float]:
    return [
        sum(score.score.value for score in own if (score.score.value >= 0) == up)
        for own in grouped(scores, plot.bars).values()
        for up in (True, False)
    ]


def _sum(axes: Axes, place: int, scores: Sequence[LabelledScore], factor: float) -> None:
    """Mark the sum of a bar's parts, with its interval where they are of the same images."""
    total = factor * sum(score.score.value for score in scores)
    with contextlib.suppress(Unpairable):
        low, high = bootstrap(factor * np.sum(joined([score.per_image for score in scores]), axis=0))
        axes.plot([place, place], [low, high], color="k", linewidth=1.0)
    axes.plot([place], [total], marker="D", color="k", markersize=3.5, linestyle="none")


def _write(axes: Axes, where: tuple[float, float], name: str, height: float, least: float, shade: Any) -> None:
    if abs(height) >= least:
        dark = sum(shade[:3]) < 1.5
        axes.text(*where, text(name), ha="center", va="center", fontsize=6, color="w" if dark else "k")
