"""The plots of a run for its page: the suite's own, and curves over the steps where the suite draws none."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...suite.outputs import AnyPlot, CurvesPlot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...registry import Registry
    from ...result import Result

LARGEST_SVG = 300_000  # bytes; a plot of more is drawn in pixels


@dataclass(frozen=True)
class Drawn:
    """`address` holds the picture itself; `missing` says why there is none."""

    title: str
    kind: str
    address: str = ""
    missing: str = ""


def figures(result: Result, registry: Registry) -> list[Drawn]:
    """Draw all; without matplotlib, say so in the place of each."""
    plots = [*result.suite.plots, *step_curves(result)]
    try:
        import matplotlib as _  # noqa: F401
    except ImportError:
        message = 'drawing needs matplotlib: pip install "adversarial-bench[plots]"'
        return [Drawn(_title(plot), plot.kind, missing=message) for plot in plots]
    return [_drawn(result, plot, registry) for plot in plots]


def step_curves(result: Result) -> Iterator[CurvesPlot]:
    """Give a plot of every score that is told for each step, for each budget, that the suite itself does not draw."""
    shown = {plot.value for plot in result.suite.plots}
    steps = [each for each in result.scores if "step" in each.labels and each.metric not in shown and not each.void]
    for value in dict.fromkeys(each.metric for each in steps):
        for budget in dict.fromkeys(each.labels.get("budget") for each in steps if each.metric == value):
            sources = {each.labels.get("source") for each in steps if each.metric == value}
            binary = all(0 <= each.score.value <= 1 for each in steps if each.metric == value)
            yield CurvesPlot(
                kind="curves", name=f"{value} {budget}", value=value, title=f"{value} at each step, {budget}",
                panels=["source"] if len(sources) > 1 else [], mean_over=["target"], where={"budget": str(budget)},
                format="percent" if binary else "number",
            )  # fmt: skip


def _title(plot: AnyPlot) -> str:
    return plot.title or f"{plot.name}: {plot.value}"


def _drawn(result: Result, plot: AnyPlot, registry: Registry) -> Drawn:
    import warnings

    from ...errors import UsageError
    from ...plots.draw import METADATA, draw
    from ...plots.style import our_style

    with our_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        try:
            figure = draw(result, plot, registry)
        except (ValueError, UsageError) as error:
            return Drawn(_title(plot), plot.kind, missing=str(error))
        media, saved = "svg+xml", _saved(figure, "svg", METADATA["svg"])
        if len(saved) > LARGEST_SVG:
            media, saved = "png", _saved(figure, "png", METADATA["png"])
    return Drawn(_title(plot), plot.kind, f"data:image/{media};base64,{base64.b64encode(saved).decode()}")


def _saved(figure: Figure, form: str, metadata: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format=form, metadata=metadata)
    return out.getvalue()
