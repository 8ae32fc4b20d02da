"""A plot as the value of a notebook's cell."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ..errors import Fault, UsageError, did_you_mean
from .draw import METADATA, draw
from .style import plot_style

if TYPE_CHECKING:
    from ..result import Result

LARGEST_SVG = 500_000  # bytes; a larger plot is shown as PNG


@dataclass(frozen=True)
class Picture:
    """A plot that shows itself: as SVG, or as PNG if that would be large.

    Attributes:
        figure: The figure, to change or save.
    """

    figure: Figure

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str | bytes]:  # noqa: ARG002
        svg = self.saved("svg")
        return {"image/svg+xml": svg.decode()} if len(svg) <= LARGEST_SVG else {"image/png": self.saved("png")}

    def saved(self, suffix: str) -> bytes:
        """Return the plot as the content of an SVG or PNG file."""
        out = io.BytesIO()
        with plot_style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            self.figure.savefig(out, format=suffix, metadata=METADATA[suffix])
        return out.getvalue()


def draw_picture(result: Result, name: str | None) -> Picture:
    """Draw the plot of a name, or the first. Raises UsageError if there is none, or it cannot be drawn."""
    plots = [plot for plot in result.suite.plots if name in (None, plot.name)]
    if not plots:
        known = [plot.name for plot in result.suite.plots]
        message = f'unknown plot "{name}" {did_you_mean(str(name), known)}' if known else "the suite has no plots"
        raise UsageError(Fault(str(result.folder), "", message))
    with plot_style():
        try:
            return Picture(draw(result, plots[0]))
        except ValueError as error:
            raise UsageError(Fault(str(result.folder), f"plots.{plots[0].name}", str(error))) from None
