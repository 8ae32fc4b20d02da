"""Figures of panels: axes for each label, or a grid of two dimensions, with one legend and a footnote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..scores.scored import LabelledScore
from .series import Key
from .style import text

WIDEST = 11.0  # inches
PANEL = (2.5, 2.1)  # inches
NARROWEST = 4.8  # inches; the notes need the room

USUAL_LINES, LINE_HEIGHT = 4, 0.19  # lines of a legend for which figures have room, and the inches of a further one


def panels(
    keys: Sequence[Key],
    dimensions: Sequence[str],
    size: tuple[float, float] = PANEL,
    share: bool = True,
    share_x: bool = True,
    single: float = 1.7,
) -> tuple[Figure, dict[Key, Axes]]:
    """Build a figure with axes for each key.

    Args:
        keys: The panels' labels. Keys of two labels make a grid, unless a panel takes a whole row; others fill rows
            that fit a page.
        dimensions: The names of these labels.
        size: Width and height of a panel, in inches.
        share: Whether all panels have the same ranges on their axes.
        share_x: Whether this holds for the horizontal axes too.
        single: The factor by which a panel is larger if it is the only one.

    Returns:
        The figure, and the axes of each key.
    """
    keys = list(dict.fromkeys(keys)) or [()]
    wrap = max(1, int(WIDEST / size[0]))
    is_grid = len(keys[0]) == 2 and wrap > 1
    rows_of = list(dict.fromkeys(key[0] for key in keys)) if is_grid else []
    columns_of = list(dict.fromkeys(key[1] for key in keys)) if is_grid else []
    columns = len(columns_of) if is_grid else min(wrap, len(keys))
    rows = len(rows_of) if is_grid else math.ceil(len(keys) / wrap)
    scale = single if len(keys) == 1 else 1.0
    inches = max(NARROWEST, size[0] * columns * scale + 0.6), size[1] * rows * scale + 1.2
    figure = Figure(figsize=inches, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=share and share_x, sharey=share, squeeze=False)
    joint = " → " if list(dimensions) == ["source", "target"] else ", "
    axes_of = {}
    for index, key in enumerate(keys):
        row, column = (rows_of.index(key[0]), columns_of.index(key[1])) if is_grid else divmod(index, columns)
        axes_of[key] = grid[row][column]
        axes_of[key].set_title(joint.join(map(text, key)), loc="left")
    for axes in grid.flat:
        if axes not in axes_of.values():
            axes.set_visible(False)
    if share:
        for axes in axes_of.values():  # matplotlib labels only the lowest row, which may have no panel in this column
            below = [
                other for other in axes_of.values() if _column(other) == _column(axes) and _row(other) > _row(axes)
            ]
            if not below:
                axes.tick_params(labelbottom=True)
    return figure, axes_of


def _row(axes: Axes) -> int:
    return int(axes.get_subplotspec().rowspan.start)  # type: ignore[union-attr]


def _column(axes: Axes) -> int:
    return int(axes.get_subplotspec().colspan.start)  # type: ignore[union-attr]


def finish(
    figure: Figure, title: str, notes: Sequence[str], x: str = "", y: str = "", legend: Mapping[str, Any] | None = None
) -> None:
    """Add the title, axis labels, legend and notes of a figure.

    Args:
        figure: The figure.
        title: The title; empty for none.
        notes: Lines of the footnote; empty ones are left out.
        x: The label of the horizontal axis.
        y: The label of the vertical axis.
        legend: The artist of each label; it is drawn for two labels or more.
    """
    width = figure.get_figwidth()
    heading = _wrapped(title, width * 10.5)
    if legend and len(legend) > 1:  # the title is the legend's, as the layout reserves room for only one of them
        columns = max(1, min(len(legend), int(width / 1.75)))
        more = -(-len(legend) // columns) - USUAL_LINES
        if more > 0:  # else a long legend takes the room of the panels, and is drawn over them
            figure.set_figheight(figure.get_figheight() + more * LINE_HEIGHT)
        above = figure.legend(
            list(legend.values()), list(legend), loc="outside upper left", ncols=columns, title=heading,
            title_fontproperties={"weight": "bold", "size": 9}, alignment="left",
        )  # fmt: skip
        above.get_title().set_multialignment("left")
    elif heading:
        figure.suptitle(heading, fontsize=9, fontweight="bold", x=0.01, ha="left")
    if y:
        figure.supylabel(_wrapped(y, figure.get_figheight() * 12), fontsize=8, multialignment="center")
    footer = "\n".join(_wrapped(note, width * 15) for note in notes if note)
    figure.supxlabel(f"{x}\n\n{footer}" if x else footer, fontsize=8)


def mark_white_boxes(axes: Mapping[Key, Axes], groups: Mapping[Key, Sequence[LabelledScore]], averaged: bool) -> str:
    """Mark the panels that have only white-box scores.

    Args:
        axes: The axes of each panel.
        groups: The scores of each panel.
        averaged: Whether the plot shows means over black-box scores, so that nothing is to be marked.

    Returns:
        The note that explains the mark, or "".
    """
    if averaged:
        return ""
    marked = mixed = False
    for key, scores in groups.items():
        white = [score.white_box for score in scores]
        if white and all(white):
            first, *rest = axes[key].get_title(loc="left").split("\n")
            axes[key].set_title("\n".join([f"{first} °", *rest]), loc="left")
            marked = True
        mixed = mixed or (any(white) and not all(white))
    if mixed:
        return "some of the points are white-box"
    return "° white-box: the target shares weights with the source" if marked else ""


def _wrapped(line: str, width: float) -> str:
    words, lines = line.split(" "), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
