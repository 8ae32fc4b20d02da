"""The colour of text on a shade, chosen by the contrast ratio of WCAG 2.2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

Colour = Sequence[float] | NDArray[Any]
BLACK, WHITE = "#000000", "#ffffff"


def luminance(rgb: Colour) -> float:
    """Return the relative luminance of an sRGB colour with channels in [0, 1]; a fourth channel is ignored."""
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in rgb[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: float, second: float) -> float:
    """Return the contrast ratio of two luminances, between 1 and 21."""
    darker, lighter = sorted((first, second))
    return (lighter + 0.05) / (darker + 0.05)


def ink(shade: Colour) -> str:
    """Return black or white, whichever has the larger contrast with a shade. It is at least 4.58 for every shade."""
    below = luminance(shade)
    return BLACK if contrast(below, 0.0) >= contrast(below, 1.0) else WHITE
