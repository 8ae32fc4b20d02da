"""A matrix of scores, with the number and its interval in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..scores.scored import LabelledScore, Scores
from ..suite.plot_entries import HeatmapPlotEntry
from .contrast import ink
from .layout import finish, panels
from .series import count_text, difference_note, drawable, grouped, key_of, value_axis
from .style import text

CELL = (0.72, 0.4)  # width and height, in inches
LETTER = 0.07  # width, in inches
HEADROOM = 1.0  # of the range of the values, so that the darkest shade is a middle grey and numbers stay easy to read
DIFFERENCE_HEADROOM = 0.5


def draw_heatmap(scores: Scores, plot: HeatmapPlotEntry, title: str) -> Figure:
    """Draw scores as shades, one cell for each pair of labels. White-box cells have a dashed frame.

    Shades are grey; of differences they are purple below zero and orange above it.

    Args:
        scores: The scores of a run; if the plot has a baseline, their differences from it.
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
    figure, axes = panels(list(by_panel), plot.panels, size, share=False, single=1.0)
    norm, colours = _shades([_factor(plot) * score.score.value for score in chosen], bool(plot.baseline))
    shades = ScalarMappable(norm, colours)
    for key, members in by_panel.items():
        matrix = np.full((len(rows), len(columns)), math.nan)
        panel = axes[key]
        check_distinct_cells(members, plot)
        for score in members:
            row, column = rows.index(key_of(score, plot.rows)), columns.index(key_of(score, plot.columns))
            matrix[row, column] = _factor(plot) * score.score.value
            colour = ink(shades.to_rgba(matrix[row, column]))
            panel.text(column, row, _cell_text(score, plot), ha="center", va="center", fontsize=6.5, color=colour)
            if score.white_box:
                frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, linestyle="--", linewidth=1.1)
                frame.set_edgecolor(colour)
                panel.add_patch(frame)
        panel.imshow(matrix, cmap=colours, norm=norm, aspect="auto")
        panel.set_xticks(range(len(columns)), [" ".join(map(text, c)) for c in columns], rotation=40, ha="right")
        panel.set_yticks(range(len(rows)), names)
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
    value_text = value_axis(plot.value_label or plot.value, plot.format, plot.baseline)
    note = f"{value_text}; {count_text([score.score.n for score in chosen])}; ±: half the 95% interval"
    white_box = any(score.white_box for score in chosen)
    framed = "dashed frame: white-box, the target shares weights with the source" if white_box else ""
    notes = [note, difference_note(plot.baseline), framed]
    finish(figure, title, notes, " ".join(plot.columns), " ".join(plot.rows))
    return figure


def _factor(plot: HeatmapPlotEntry) -> int:
    return 100 if plot.format == "percent" else 1


def _shades(values: Sequence[float], differences: bool) -> tuple[Normalize, str]:
    """Return the scale and the colours of the shades: grey, or of differences two colours around zero."""
    if differences:
        bound = (1 + DIFFERENCE_HEADROOM) * max(map(abs, values), default=0.0) or 1.0
        return Normalize(-bound, bound), "PuOr_r"
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return Normalize(low, high + HEADROOM * (high - low)), "Greys"


def _cell_text(score: LabelledScore, plot: HeatmapPlotEntry) -> str:
    """Return the value of a cell, and half of its interval below it."""
    value, half = _factor(plot) * score.score.value, _factor(plot) * (score.score.high - score.score.low) / 2
    sign = "+" if plot.baseline else ""
    number, spread = (f"{value:{sign}.1f}", f"{half:.1f}") if plot.format == "percent" else (
        f"{value:{sign}.3g}", f"{half:.2g}"
    )  # fmt: skip
    return number if math.isnan(half) else f"{number}\n±{spread}"


def check_distinct_cells(scores: Sequence[LabelledScore], plot: HeatmapPlotEntry) -> None:
    """Raise ValueError if two scores share a cell of the plot."""
    for same in grouped(scores, [*plot.rows, *plot.columns]).values():
        differ = sorted(name for name in same[0].labels if same[0].labels[name] != same[-1].labels.get(name))
        if len(same) > 1:
            hint = "add it to panels, rows, columns or where"
            raise ValueError(f"several scores share a cell; they differ in {', '.join(differ)} ({hint})")
