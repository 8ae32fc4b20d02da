"""A matrix of scores, with the number and its interval in each field."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..scores.scored import LabelledScore, Scores
from ..suite.outputs import HeatmapPlotEntry
from .layout import finish, panels
from .series import counted, grouped, key_of, wanted
from .style import text

FIELD = (0.72, 0.4)  # inches


def draw_heatmap(scores: Scores, plot: HeatmapPlotEntry, title: str) -> Figure:
    """Draw scores as shades of grey, one field for each pair of labels. White-box fields have a dashed frame."""
    chosen = wanted(scores, plot.value, plot.where)
    by_panel = grouped(chosen, plot.panels)
    rows, columns = list(grouped(chosen, plot.rows)), list(grouped(chosen, plot.columns))
    names = [" ".join(map(text, row)) for row in rows]
    label_width = 0.07 * max((len(name) for name in names), default=0)
    size = (FIELD[0] * len(columns) / 1.0 + label_width + 0.4, FIELD[1] * len(rows) + 0.9)
    figure, axes = panels(list(by_panel), size, share=False, single=1.0)
    factor = 100 if plot.format == "percent" else 1
    values = [factor * score.score.value for score in chosen]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    white = False
    for key, members in by_panel.items():
        field = np.full((len(rows), len(columns)), math.nan)
        area = axes[key]
        check_one_a_field(members, plot)
        for score in members:
            row, column = rows.index(key_of(score, plot.rows)), columns.index(key_of(score, plot.columns))
            value = factor * score.score.value
            field[row, column] = value
            dark = (value - low) > 0.55 * (high - low)
            half = factor * (score.score.high - score.score.low) / 2
            label = f"{value:.1f}" if plot.format == "percent" else f"{value:.3g}"
            interval = "" if math.isnan(half) else (f"\n±{half:.1f}" if plot.format == "percent" else f"\n±{half:.2g}")
            area.text(column, row, label + interval, ha="center", va="center", fontsize=6.5, color="w" if dark else "k")
            if score.white_box:
                white = True
                frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, linestyle="--", linewidth=1.1)
                frame.set_edgecolor("w" if dark else "k")
                area.add_patch(frame)
        area.imshow(field, cmap="Greys", vmin=low, vmax=high + 0.15 * (high - low), aspect="auto")
        area.set_xticks(range(len(columns)), [" ".join(map(text, c)) for c in columns], rotation=40, ha="right")
        area.set_yticks(range(len(rows)), names)
        area.spines[:].set_visible(False)
        area.tick_params(length=0)
    unit = " (%)" if plot.format == "percent" else ""
    note = f"{plot.value}{unit}; {counted([score.score.n for score in chosen])}; ±: half the 95% interval"
    framed = "dashed frame: white-box, the target is, or is a member of, the source" if white else ""
    finish(figure, title, [note, framed], " ".join(plot.columns), " ".join(plot.rows))
    return figure


def check_one_a_field(scores: Sequence[LabelledScore], plot: HeatmapPlotEntry) -> None:
    """Raise ValueError where two scores fall in one field."""
    for same in grouped(scores, [*plot.rows, *plot.columns]).values():
        differ = sorted(name for name in same[0].labels if same[0].labels[name] != same[-1].labels.get(name))
        if len(same) > 1:
            raise ValueError(f"two scores fall in one field; they differ in {', '.join(differ)}")
