"""Maps of values per cell over the first images, and their mean over all images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..scores.rows import RowSet
from ..suite.plot_entries import MapsPlotEntry
from .contrast import ink
from .layout import finish
from .rows import grouped_rows
from .series import count_text
from .style import text

SIDE = 1.25  # of a map, in inches
SHADES = "PuOr_r"  # not distinct in grey, so the strongest cells carry their sign as well
FAINT, OVERLAID = 0.45, 0.6  # opacity of an image below a map, and of the map
SATURATION = 0.98  # quantile of the absolute values at which the colours saturate


def draw_maps(rows: Sequence[RowSet], plot: MapsPlotEntry, clean: NDArray[np.float32], title: str) -> Figure:
    """Draw a row of maps for each panel label.

    Args:
        rows: The rows of a run.
        plot: The suite's entry.
        clean: The clean images [n, c, h, w] under the maps.
        title: The title.

    Raises:
        ValueError: Several sets of rows share a panel, or the values do not form a square of cells.
    """
    name = plot.value.partition(".")[2]
    groups = grouped_rows(rows, plot, plot.panels)
    shown = min(plot.images, len(clean))
    maps = {}
    for key, sets in groups.items():
        if len(sets) > 1:
            raise ValueError(f"several sets of rows share the panel {' '.join(key)} (add labels to panels or where)")
        maps[key] = as_squares(sets[0].arrays[name])
    magnitudes = np.abs(np.concatenate([values[:shown].ravel() for values in maps.values()] or [np.ones(1)]))
    limit = float(np.quantile(magnitudes, SATURATION)) or 1.0
    mean_limit = max((float(np.abs(values.mean(0)).max()) for values in maps.values()), default=1.0) or 1.0
    columns = shown + 1
    figure = Figure(figsize=(SIDE * columns + 2.6, SIDE * (len(maps) + 1) + 0.9), layout="constrained")
    grid = figure.subplots(max(1, len(maps)) + 1, columns, squeeze=False, height_ratios=[1] * (len(maps) + 1))
    for column in range(shown):
        _image(grid[0][column], clean[column])
    grid[0][0].set_ylabel("clean", rotation=0, ha="right", va="center")
    grid[0][shown].set_axis_off()
    for row, (key, values) in zip(grid[1:], maps.items(), strict=False):
        row[0].set_ylabel("\n".join(map(text, key)), rotation=0, ha="right", va="center")
        for column in range(shown):
            below = _image(row[column], clean[column], faint=True)
            _overlay(row[column], values[column], limit, clean.shape[-2:], below)
        _overlay(row[shown], values.mean(0), mean_limit, clean.shape[-2:])
    if maps:
        grid[1][shown].set_title("mean of all images")
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for bound, label in ((limit, "one image"), (mean_limit, "mean")):
        shade = ScalarMappable(TwoSlopeNorm(0, -bound, bound), SHADES)
        figure.colorbar(shade, ax=list(grid.flat), label=label, fraction=0.025, aspect=30, pad=0.01)
    n = [len(values) for values in maps.values()]
    note = f"{plot.value_label or plot.value}; first {shown} images and the mean, {count_text(n)}"
    note += "; + and -: the sign of the strongest cells"
    note += "; images of one channel are shown as negatives" if clean.shape[1] != 3 else ""
    finish(figure, title, [note])
    return figure


def as_squares(values: NDArray[Any]) -> NDArray[np.float64]:
    """Reshape rows [n, grid^2] to maps [n, grid, grid]. Raises ValueError if they do not form a square."""
    flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    side = math.isqrt(flat.shape[1])
    if side * side != flat.shape[1]:
        raise ValueError(f"{flat.shape[1]} values per image do not form a square of cells")
    return flat.reshape(len(flat), side, side)


def _image(axes: Axes, image: NDArray[np.float32], faint: bool = False) -> NDArray[np.float64]:
    """Draw an image, faint below a map; return the drawn colours [h, w, 3]."""
    pixels = image.transpose(1, 2, 0) if len(image) == 3 else 1 - image.mean(0)
    opacity = FAINT if faint else 1.0
    axes.imshow(pixels, cmap="Greys_r", vmin=0, vmax=1, alpha=opacity)
    colours = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)
    return 1 - opacity * (1 - np.clip(colours.astype(np.float64), 0, 1))


def _overlay(
    axes: Axes, values: NDArray[np.float64], limit: float, size: Sequence[int], below: NDArray[np.float64] | None = None
) -> None:
    """Draw a map, transparent if there are colours [h, w, 3] `below` it, with the sign of its strongest cells."""
    height, width = size
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    norm = TwoSlopeNorm(0, -limit, limit)
    shades = ScalarMappable(norm, SHADES)
    opacity = 1.0 if below is None else OVERLAID
    axes.imshow(values, cmap=SHADES, norm=norm, extent=extent, alpha=opacity)
    rows, columns = values.shape
    for row, column in zip(*np.nonzero(np.abs(values) > 0.5 * limit), strict=True):
        y, x = (row + 0.5) * height / rows - 0.5, (column + 0.5) * width / columns - 0.5
        shade = np.array(shades.to_rgba(values[row, column])[:3])
        if below is not None:
            shade = opacity * shade + (1 - opacity) * below[min(round(y), height - 1), min(round(x), width - 1)]
        axes.text(x, y, "+" if values[row, column] > 0 else "-", ha="center", va="center", fontsize=5, color=ink(shade))
