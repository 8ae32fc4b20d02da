"""A matrix of scores, with the number and its interval in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..scores.scored import LabelledScore, Scores
from ..suite.plot_entries import HeatmapPlotEntry
from .layout import finish, panels
from .series import count_text, drawable, grouped, key_of, value_axis
from .style import text

CELL = (0.72, 0.4)  # width and height, in inches
LETTER = 0.07  # width, in inches


def draw_heatmap(scores: Scores, plot: HeatmapPlotEntry, title: str) -> Figure:
    """Draw scores as shades of grey, one cell for each pair of labels. White-box cells have a dashed frame.

    Args:
        scores: The scores of a run.
        plot: The suite's entry.
        title: The title.

    Raises:
        ValueError: Two scores share a cell.
    """
    chosen = drawable(scores, plot.value, plot.where)
    by_panel = grouped(chosen, plot.panels)
    rows, columns = list(grouped(chosen, plot.rows)), list(grouped(chosen, plot.columns))
    names = [" ".join(map(text, row)) for row in rows]
    label_width = LETTER * max((len(name) for name in names), default=0)
    size = (CELL[0] * len(columns) + label_width + 0.4, CELL[1] * len(rows) + 0.9)
    figure, axes = panels(list(by_panel), size, share=False, single=1.0)
    factor = 100 if plot.format == "percent" else 1
    values = [factor * score.score.value for score in chosen]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    any_white_box = False
    for key, members in by_panel.items():
        matrix = np.full((len(rows), len(columns)), math.nan)
        panel = axes[key]
        check_distinct_cells(members, plot)
        for score in members:
            row, column = rows.index(key_of(score, plot.rows)), columns.index(key_of(score, plot.columns))
            value = factor * score.score.value
            matrix[row, column] = value
            dark = (value - low) > 0.55 * (high - low)
            half = factor * (score.score.high - score.score.low) / 2
            label = f"{value:.1f}" if plot.format == "percent" else f"{value:.3g}"
            interval = "" if math.isnan(half) else (f"\n±{half:.1f}" if plot.format == "percent" else f"\n±{half:.2g}")
            panel.text(
                column, row, label + interval, ha="center", va="center", fontsize=6.5, color="w" if dark else "k"
            )
            if score.white_box:
                any_white_box = True
                frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, linestyle="--", linewidth=1.1)
                frame.set_edgecolor("w" if dark else "k")
                panel.add_patch(frame)
        panel.imshow(matrix, cmap="Greys", vmin=low, vmax=high + 0.15 * (high - low), aspect="auto")
        panel.set_xticks(range(len(columns)), [" ".join(map(text, c)) for c in columns], rotation=40, ha="right")
        panel.set_yticks(range(len(rows)), names)
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
    value_text = value_axis(plot.value_label or plot.value, plot.format)
    note = f"{value_text}; {count_text([score.score.n for score in chosen])}; ±: half the 95% interval"
    framed = "dashed frame: white-box, the target is the source or one of its members" if any_white_box else ""
    finish(figure, title, [note, framed], " ".join(plot.columns), " ".join(plot.rows))
    return figure


def check_distinct_cells(scores: Sequence[LabelledScore], plot: HeatmapPlotEntry) -> None:
    """Raise ValueError if two scores share a cell of the plot."""
    for same in grouped(scores, [*plot.rows, *plot.columns]).values():
        differ = sorted(name for name in same[0].labels if same[0].labels[name] != same[-1].labels.get(name))
        if len(same) > 1:
            hint = "add it to panels, rows, columns or where"
            raise ValueError(f"several scores share a cell; they differ in {', '.join(differ)} ({hint})")
