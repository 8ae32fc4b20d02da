"""A badge: the worst value of a gated score of a run as a small SVG, which loads nothing from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from ..errors import Fault, UsageError, did_you_mean, one_line
from ..statistics import bootstrap, wilson
from ..tables.sheet import number
from .compare import Comparison
from .snapshot import GatedScore, Snapshot

GREY, BLUE, GREEN, RED = "#555", "#0969da", "#1a7f37", "#cf222e"  # white text on each has a contrast of 4.5 or more
WIDE, NARROW = "mwMW@%", "iljtfrI1 .,:;|'!()[]"
PADDING = 6
MOST_CHARACTERS = 80


@dataclass(frozen=True)
class Badge:
    """What a badge says.

    Attributes:
        label: The left half.
        message: The right half.
        colour: The colour of the right half.
    """

    label: str
    message: str
    colour: str = BLUE


def badge(run: Snapshot, score: str = "", label: str = "", comparison: Comparison | None = None) -> Badge:
    """Return the badge of a run: the worst value of a score over its labels, with its 95% interval.

    Args:
        run: The run or baseline.
        score: The score, METRIC.SCORE; by default the first that the run gates.
        label: The text of the left half; by default the score's name.
        comparison: The comparison of the run with a baseline: its verdict is the colour, and part of the message.

    Raises:
        UsageError: The run does not gate this score, or the score is void.
    """
    score = score or next(iter(run.gate))
    found = [each for each in run.scores if each.metric == score]
    if not found:
        known = dict.fromkeys(each.metric for each in run.scores)
        raise UsageError(Fault(run.name, "", f'gates no score "{score}" {did_you_mean(score, known)}'))
    voids = [each.void for each in found if each.void]
    if voids:
        raise UsageError(Fault(run.name, score, f"is void: {voids[0]}"))
    means = [float(np.mean(each.values)) for each in found]
    gate = run.gate.get(score) or next(iter(run.gate.values()))
    worst = int(np.argmin(means) if gate.better == "higher" else np.argmax(means))
    message = value_with_interval(found[worst])
    if comparison is None:
        return Badge(label or score, message)
    failed = bool(comparison.failures)
    return Badge(label or score, f"{message} · {'worse' if failed else 'no worse'}", RED if failed else GREEN)


def value_with_interval(score: GatedScore) -> str:
    """Return the mean of a score and its 95% interval; a share of images in per cent."""
    n, mean = len(score.values), float(np.mean(score.values))
    low, high = wilson(float(score.values.sum()), n) if score.binary else bootstrap(score.values)
    texts = [number(value, score.binary) for value in (mean, low, high)]
    return f"{texts[0]}{'%' if score.binary else ''} [{texts[1]}, {texts[2]}]"


def svg(shown: Badge) -> str:
    """Draw a badge. Text is escaped, and a screen reader reads it as one sentence."""
    left, right = (shortened(text) for text in (shown.label, shown.message))
    a, b = (width(text) + 2 * PADDING for text in (left, right))
    title = escape(f"{left}: {right}")
    texts = "".join(
        f'<text x="{x:.1f}" y="14" textLength="{w - 2 * PADDING:.1f}">{escape(text)}</text>'
        for x, w, text in ((a / 2, a, left), (a + b / 2, b, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b:.1f}" height="20" role="img" aria-label="{title}">'
        f'<title>{title}</title><clipPath id="r"><rect width="{a + b:.1f}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{a:.1f}" height="20" fill="{GREY}"/>'
        f'<rect x="{a:.1f}" width="{b:.1f}" height="20" fill="{shown.colour}"/></g>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )


def shortened(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"


def width(text: str) -> float:
    """Estimate the width of a text in pixels; `textLength` then fits it exactly."""
    return sum(10.0 if char in WIDE else 4.5 if char in NARROW else 7.0 for char in text)
