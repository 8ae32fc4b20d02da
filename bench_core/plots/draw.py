"""Draw and save a run's plots."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..errors import Fault, UsageError, stop_at_faults
from ..files import safe_name
from ..registry import Registry, discover
from ..store import write_atomically
from ..suite.plot_entries import (
    CurvesPlotEntry,
    DistancesPlotEntry,
    HeatmapPlotEntry,
    HistogramPlotEntry,
    MapsPlotEntry,
    ParetoPlotEntry,
    PlotEntry,
    ScatterPlotEntry,
    StackedPlotEntry,
)
from .differences import differences
from .distances import draw_distances
from .heatmap import draw_heatmap
from .histogram import draw_histogram
from .lines import draw_lines
from .maps import draw_maps
from .pareto import draw_pareto
from .scatter import draw_scatter
from .stacked import draw_stacked
from .style import plot_style

if TYPE_CHECKING:
    from ..result import Result

METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def draw_all(result: Result, registry: Registry | None) -> list[Path]:
    """Draw and save every plot of a run.

    Args:
        result: The run.
        registry: The installed plugins; they are discovered by default.

    Returns:
        The files, an SVG and a PNG of each plot.

    Raises:
        UsageError: Plots cannot be drawn from the run's scores. The others are drawn.
    """
    files, faults = list[Path](), list[Fault]()
    for index, plot in enumerate(result.suite.plots):
        with plot_style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            try:
                figure = draw(result, plot, registry)
            except ValueError as error:
                faults.append(Fault(result.suite.file, f"plots.{index}", str(error)))
                continue
            for suffix, metadata in METADATA.items():
                path = result.folder / "plots" / f"{safe_name(plot.name)}.{suffix}"
                out = io.BytesIO()
                figure.savefig(out, format=suffix, metadata=metadata)
                write_atomically(path, out.getvalue())
                files.append(path)
    stop_at_faults(faults)
    return files


def draw(result: Result, plot: PlotEntry, registry: Registry | None = None, titled: bool = True) -> Figure:
    """Draw one plot.

    Args:
        result: The run.
        plot: The suite's entry.
        registry: The installed plugins; they are discovered by default.
        titled: Whether the title is in the figure.

    Raises:
        ValueError: The plot's dimensions do not distinguish its scores, or no score can be paired with the baseline.
        UsageError: The clean images, which maps need, are not on this machine.
    """
    title = (plot.title or result.suite.title) if titled else ""
    scores = result.scores
    if isinstance(plot, HeatmapPlotEntry | CurvesPlotEntry) and plot.baseline:
        scores = differences(scores, plot.value, plot.baseline, result.suite.attack_labels)
    match plot:
        case HeatmapPlotEntry():
            return draw_heatmap(scores, plot, title)
        case CurvesPlotEntry():
            return draw_lines(scores, plot, title)
        case ParetoPlotEntry():
            return draw_pareto(result.scores, plot, title)
        case StackedPlotEntry():
            return draw_stacked(result.scores, plot, title)
        case ScatterPlotEntry():
            correlation = result.suite.correlations[plot.value]
            return draw_scatter(result.scores, plot, correlation, {"attack", *result.suite.attack_labels}, title)
        case HistogramPlotEntry():
            return draw_histogram(result.rows, plot, title)
        case DistancesPlotEntry():
            return draw_distances(result.rows, result.elsewhere, plot, result.suite, title)
        case MapsPlotEntry():
            return draw_maps(result.rows, plot, clean_images(result, plot.images, registry), title)


def clean_images(result: Result, count: int, registry: Registry | None) -> NDArray[np.float32]:
    """Read the first attacked images from the dataset.

    Args:
        result: The run.
        count: How many images to read, at most.
        registry: The installed plugins; they are discovered by default.

    Returns:
        The images [n, c, h, w] in [0, 1].

    Raises:
        UsageError: The dataset is not on this machine.
    """
    data = result.suite.data
    offer = (registry or discover()).find("datasets", data.kind, result.suite.file, "data.kind")
    options, faults = offer.check(data.options, result.suite.file, "data")
    if faults:
        raise UsageError(*faults)
    try:
        images: NDArray[np.float32] = offer.build(**options).load(list(result.selected[:count]))
    except OSError as error:
        message = f"cannot read {error.filename or 'the images'}: {error.strerror or error}"
        raise UsageError(Fault(result.suite.file, "data", message)) from None
    return images
