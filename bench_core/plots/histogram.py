"""Distributions of the values in a metric's rows, as overlapping outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..scores.rows import RowSet
from ..suite.plot_entries import HistogramPlotEntry
from .layout import finish, panels
from .rows import grouped_rows
from .series import count_text
from .style import look, text

SHOWN = 0.98  # share of all values, around the median, that the axis shows


def draw_histogram(rows: Sequence[RowSet], plot: HistogramPlotEntry, title: str) -> Figure:
    """Draw an outline for each label of `lines`, with common bins.

    The height of a bin is its share of all values of the line, including those beyond the ends of the axis.

    Args:
        rows: The rows of a run.
        plot: The suite's entry.
        title: The title.

    Raises:
        ValueError: The metric has no such row.
    """
    name = plot.value.partition(".")[2]
    by_panel = grouped_rows(rows, plot, plot.panels)
    lines = list(grouped_rows(rows, plot, plot.lines))
    values = np.concatenate([row.arrays[name].ravel() for row in rows if _is_drawn(row, plot)] or [np.zeros(1)])
    low, high = np.quantile(values, [(1 - SHOWN) / 2, (1 + SHOWN) / 2])
    edges = np.linspace(float(low), float(high) if high > low else float(low) + 1, plot.bins + 1)
    figure, axes = panels(list(by_panel), plot.panels, (3.0, 2.4))
    legend: dict[str, Any] = {}
    counts = []
    for key, members in by_panel.items():
        for line, sets in grouped_rows(members, plot, plot.lines).items():
            values = np.concatenate([row.arrays[name].astype(np.float64).ravel() for row in sets])
            counts += [len(row.arrays[name]) for row in sets]
            style = look(lines.index(line))
            share = np.histogram(values, edges)[0] / len(values)
            (outline,) = axes[key].step(
                edges, [*share, share[-1]], where="post", color=style.colour, linestyle=style.dashes, linewidth=1.2
            )
            mean = values.mean()
            axes[key].plot([mean], [0], marker=style.marker, color=style.colour, markersize=5, clip_on=False, zorder=5)
            outline.set(marker=style.marker, markersize=3.5, markevery=max(1, plot.bins // 8))
            legend.setdefault(" ".join(map(text, line)), outline)
    note = (
        f"{count_text(counts)}; share of values in each bin; the axis shows the middle {SHOWN:.0%} of all values; "
        "markers on the axis: means"
    )
    finish(figure, title, [note], plot.value_label or plot.value, "share of values", legend)
    return figure


def _is_drawn(row: RowSet, plot: HistogramPlotEntry) -> bool:
    return bool(grouped_rows([row], plot, plot.lines))
