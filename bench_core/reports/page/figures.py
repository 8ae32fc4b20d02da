"""The plots on a run's page: the suite's `[[plots]]`, and curves over the steps that the suite does not draw."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...suite.plot_entries import CurvesPlotEntry, PlotEntry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...registry import Registry
    from ...result import Result

CSS_PIXELS = 96  # to the inch
SMALL_COLOURS, MOST_PIXELS, SMALL_DOTS = 32, 1280, 100  # dots to the inch
LARGEST_SVG = 300_000  # bytes; a larger plot is saved as PNG


@dataclass(frozen=True)
class PagePlot:
    """A plot on the page.

    Attributes:
        title: The title.
        kind: The kind of plot, as in the suite.
        url: A data URL with the picture.
        width: The width of the picture, in pixels of CSS.
        height: Its height.
        missing: The reason why there is no picture.
        table: The number of the table on the page whose shaded cells are the plot; 0 if it is a picture.
        shown_as: The title of that table.
    """

    title: str
    kind: str
    url: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""
    table: int = 0
    shown_as: str = ""


def figures(
    result: Result, registry: Registry, small: bool = False, drawn: Mapping[str, PagePlot] | None = None
) -> list[PagePlot]:
    """Draw all plots of a run.

    Args:
        result: The run.
        registry: The installed plugins.
        small: Whether each picture has the form of the fewest bytes, and at most `SMALL_COLOURS` colours.
        drawn: What is shown in place of some plots of the suite, by their names.

    Returns:
        The plots. A plot that cannot be drawn states why; without matplotlib, every plot states what to install.
    """
    drawn, plots = drawn or {}, [*result.suite.plots, *step_curves(result)]
    try:
        import matplotlib as _  # noqa: F401
    except ImportError:
        message = 'drawing needs matplotlib: pip install "adversarial-bench[plots]"'
        return [drawn.get(plot.name) or PagePlot(_title(plot, result), plot.kind, missing=message) for plot in plots]
    return [drawn.get(plot.name) or _drawn(result, plot, registry, small) for plot in plots]


def step_curves(result: Result) -> Iterator[CurvesPlotEntry]:
    """Yield a plot for each budget of every score with a label `step` that the suite itself does not draw."""
    drawn = {plot.value for plot in result.suite.plots}
    steps = [score for score in result.scores.valid() if "step" in score.labels and score.metric not in drawn]
    labels = {plot.value.partition(".")[0]: label for plot in result.suite.plots if (label := value_label(plot))}
    for value in dict.fromkeys(score.metric for score in steps):
        scores = [score for score in steps if score.metric == value]
        sources = {score.labels.source for score in scores}
        proportions = all(0 <= score.score.value <= 1 for score in scores)
        for budget in dict.fromkeys(score.labels.budget for score in scores):
            metric = value.partition(".")[0]
            yield CurvesPlotEntry(
                kind="curves", name=f"{value} {budget}", value=value, title=f"{metric} at each step, {budget}",
                value_label=labels.get(metric, metric),
                panels=["source"] if len(sources) > 1 else [], mean_over=["target"], where={"budget": str(budget)},
                format="percent" if proportions else "number",
            )  # fmt: skip


def value_label(plot: PlotEntry) -> str | None:
    """Return the name that a plot gives to its value; None if it has none."""
    return getattr(plot, "value_label", None)


def _title(plot: PlotEntry, result: Result) -> str:
    return plot.title or result.suite.title


def _drawn(result: Result, plot: PlotEntry, registry: Registry, small: bool) -> PagePlot:
    import warnings

    from ...errors import UsageError
    from ...plots.draw import METADATA, draw
    from ...plots.style import plot_style

    title = _title(plot, result)
    with plot_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        try:
            figure = draw(result, plot, registry, titled=False)
        except (ValueError, UsageError) as error:
            return PagePlot(title, plot.kind, missing=str(error))
        media, saved = "svg+xml", _saved(figure, "svg", METADATA["svg"])
        if small:
            width, height = figure.get_size_inches()
            dots = min(SMALL_DOTS, MOST_PIXELS / max(width, height))
            reduced = _reduced(_saved(figure, "png", METADATA["png"], dots))
            media, saved = min([(media, saved), ("webp", reduced)], key=lambda form: len(form[1]))
        elif len(saved) > LARGEST_SVG:
            media, saved = "png", _saved(figure, "png", METADATA["png"])
    width, height = (round(inches * CSS_PIXELS) for inches in figure.get_size_inches())
    return PagePlot(title, plot.kind, f"data:image/{media};base64,{base64.b64encode(saved).decode()}", width, height)


def _reduced(png: bytes) -> bytes:
    """Return a picture as WebP without loss, except that it has fewer colours.

    They are chosen to be far apart, not by how many pixels have them: else thin lines get the colours of others.
    """
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.quantize(SMALL_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    picture.convert("RGB").save(out, "webp", lossless=True, quality=100)
    return out.getvalue()


def _saved(figure: Figure, suffix: str, metadata: Any, dots: float | None = None) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=suffix, metadata=metadata, dpi=dots or "figure")
    return out.getvalue()
