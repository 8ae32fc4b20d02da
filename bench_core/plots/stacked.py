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
from ..suite.plot_entries import StackedPlotEntry
from .contrast import ink
from .layout import finish, mark_white_boxes, panels
from .series import count_text, drawable, grouped, key_of, value_axis
from .style import text

SHADES = "cividis"  # parts are ordered, and so are its shades in grey
LOWEST_NAMED = 0.08  # of the tallest bar: a lower part has no room for its name
BAR_WIDTH = 0.62  # of the distance between two bars


def draw_stacked(scores: Scores, plot: StackedPlotEntry, title: str) -> Figure:
    """Draw a bar for each label of `bars`, with a part for each label of `parts`, and a diamond at their sum.

    Args:
        scores: The scores of a run.
        plot: The suite's entry.
        title: The title.

    Raises:
        ValueError: Several scores share a part.
    """
    chosen = drawable(scores, plot.value, plot.where)
    by_panel = grouped(chosen, plot.panels)
    bars, parts = list(grouped(chosen, plot.bars)), list(grouped(chosen, plot.parts))
    shades = mpl.colormaps[SHADES].resampled(max(2, len(parts)))
    figure, axes = panels(list(by_panel), plot.panels, (0.75 * len(bars) + 1.2, 2.6))
    factor = 100 if plot.format == "percent" else 1
    tallest = max(
        (abs(factor * total) for members in by_panel.values() for total in _heights(members, plot)), default=1.0
    )
    legend: dict[str, Any] = {}
    for key, members in by_panel.items():
        for place, bar in enumerate(bars):
            in_bar = [score for score in members if key_of(score, plot.bars) == bar]
            ends = {True: 0.0, False: 0.0}
            for part, scored in grouped(in_bar, plot.parts).items():
                if len(scored) > 1:
                    raise ValueError("several scores share a part (add labels to panels, bars, parts or where)")
                value, shade = factor * scored[0].score.value, shades(parts.index(part))
                up = value >= 0
                drawn = axes[key].bar(place, value, BAR_WIDTH, ends[up], color=shade, edgecolor="w", linewidth=0.5)
                legend.setdefault(" ".join(map(text, part)), drawn)
                _write_name(
                    axes[key], (place, ends[up] + value / 2), " ".join(part), value, LOWEST_NAMED * tallest, shade
                )
                ends[up] += value
            _mark_sum(axes[key], place, in_bar, factor)
        axes[key].axhline(0, color="k", linewidth=0.6)
        axes[key].set_xticks(range(len(bars)), [" ".join(map(text, bar)) for bar in bars], rotation=30, ha="right")
        axes[key].tick_params(axis="x", length=0)
    ordered = {" ".join(map(text, part)): legend[" ".join(map(text, part))] for part in parts}
    note = f"{count_text([score.score.n for score in chosen])}; parts: {' '.join(plot.parts)}; diamonds: their sum"
    notes = [f"{note}, with its 95% interval", mark_white_boxes(axes, by_panel, False)]
    y = value_axis(plot.value_label or plot.value, plot.format)
    finish(figure, title, notes, " ".join(plot.bars), y, ordered)
    return figure


def _heights(scores: Sequence[LabelledScore], plot: StackedPlotEntry) -> list[float]:
    """Return how far each bar extends above and below zero."""
    return [
        sum(score.score.value for score in in_bar if (score.score.value >= 0) == up)
        for in_bar in grouped(scores, plot.bars).values()
        for up in (True, False)
    ]


def _mark_sum(axes: Axes, place: int, scores: Sequence[LabelledScore], factor: float) -> None:
    """Mark the sum of a bar's parts, with its interval if they are over the same images."""
    total = factor * sum(score.score.value for score in scores)
    with contextlib.suppress(Unpairable):
        low, high = bootstrap(factor * np.sum(joined([score.per_image for score in scores]), axis=0))
        axes.plot([place, place], [low, high], color="k", linewidth=1.0)
    axes.plot([place], [total], marker="D", color="k", markersize=3.5, linestyle="none")


def _write_name(axes: Axes, where: tuple[float, float], name: str, height: float, least: float, shade: Any) -> None:
    if abs(height) >= least:
        axes.text(*where, text(name), ha="center", va="center", fontsize=6, color=ink(shade))
