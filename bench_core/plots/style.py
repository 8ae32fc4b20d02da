"""The style of every plot: readable without colour, reproducible to the byte, and labels are never markup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

from ..errors import one_line

# Okabe and Ito's colours, dark ones first; lines differ in dashes and marker as well
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))
LONGEST_LABEL = 44
PARAMETERS: dict[Any, Any] = {
    "svg.hashsalt": "bench",
    "svg.fonttype": "path",
    "text.usetex": False,
    "text.parse_math": False,  # a label with dollar signs is not mathematics
    "axes.formatter.use_mathtext": False,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Look:
    """How one of several lines, sets of points or outlines is drawn."""

    colour: str
    marker: str
    dashes: Any


def look(index: int) -> Look:
    """Return the look of the line `index`; the looks repeat after eight lines or more."""
    return Look(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)])


def text(label: object) -> str:
    """Return a label as one line of bounded length."""
    line = one_line(str(label))
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw with these parameters, whatever the user's configuration of matplotlib is."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(PARAMETERS)
        yield
