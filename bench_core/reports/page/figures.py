"""The plots on a run's page: the suite's `[[plots]]`, and curves over the steps that the suite does not draw."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...suite.plot_entries import CurvesPlotEntry, PlotEntry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...registry import Registry
    from ...result import Result

LARGEST_SVG = 300_000  # bytes; a larger plot is saved as PNG


@dataclass(frozen=True)
class PagePlot:
    """A plot on the page.

    Attributes:
        title: The title.
        kind: The kind of plot, as in the suite.
        url: A data URL with the picture.
        missing: The reason why there is no picture.
    """

    title: str
    kind: str
    url: str = ""
    missing: str = ""


def figures(result: Result, registry: Registry) -> list[PagePlot]:
    """Draw all plots of a run.

    Args:
        result: The run.
        registry: The installed plugins.

    Returns:
        The plots. A plot that cannot be drawn states why; without matplotlib, every plot states what to install.
    """
    plots = [*result.suite.plots, *step_curves(result)]
    try:
        import matplotlib as _  # noqa: F401
    except ImportError:
        message = 'drawing needs matplotlib: pip install "adversarial-bench[plots]"'
        return [PagePlot(_title(plot), plot.kind, missing=message) for plot in plots]
    return [_drawn(result, plot, registry) for plot in plots]


def step_curves(result: Result) -> Iterator[CurvesPlotEntry]:
    """Yield a plot for each budget of every score with a label `step` that the suite itself does not draw."""
    drawn = {plot.value for plot in result.suite.plots}
    steps = [score for score in result.scores.valid() if "step" in score.labels and score.metric not in drawn]
    for value in dict.fromkeys(score.metric for score in steps):
        scores = [score for score in steps if score.metric == value]
        sources = {score.labels.source for score in scores}
        proportions = all(0 <= score.score.value <= 1 for score in scores)
        for budget in dict.fromkeys(score.labels.budget for score in scores):
            yield CurvesPlotEntry(
                kind="curves", name=f"{value} {budget}", value=value, title=f"{value} at each step, {budget}",
                panels=["source"] if len(sources) > 1 else [], mean_over=["target"], where={"budget": str(budget)},
                format="percent" if proportions else "number",
            )  # fmt: skip


def _title(plot: PlotEntry) -> str:
    return plot.title or f"{plot.name}: {plot.value}"


def _drawn(result: Result, plot: PlotEntry, registry: Registry) -> PagePlot:
    import warnings

    from ...errors import UsageError
    from ...plots.draw import METADATA, draw
    from ...plots.style import plot_style

    with plot_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        try:
            figure = draw(result, plot, registry)
        except (ValueError, UsageError) as error:
            return PagePlot(_title(plot), plot.kind, missing=str(error))
        media, saved = "svg+xml", _saved(figure, "svg", METADATA["svg"])
        if len(saved) > LARGEST_SVG:
            media, saved = "png", _saved(figure, "png", METADATA["png"])
    return PagePlot(_title(plot), plot.kind, f"data:image/{media};base64,{base64.b64encode(saved).decode()}")


def _saved(figure: Figure, suffix: str, metadata: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=suffix, metadata=metadata)
    return out.getvalue()
