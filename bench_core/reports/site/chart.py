"""The history of a score as a line with its intervals: the coordinates of an inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...tables.sheet import number
from .boards import Point

WIDTH, HEIGHT = 640.0, 180.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 624.0, 12.0, 156.0
TICKS = 4
MOST_MARKS = 60
LABEL = 40  # characters


@dataclass(frozen=True)
class Mark:
    """A value: its position, the ends of its interval, its label, and whether it can be compared with the newest."""

    x: float
    y: float
    low: float
    high: float
    text: str
    comparable: bool


@dataclass(frozen=True)
class Chart:
    """A line over runs, oldest first."""

    title: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    ends: tuple[str, str]  # when the first and the last run were made
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = RIGHT

    @property
    def line(self) -> str:
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)


def history_chart(title: str, points: Sequence[Point], percent: bool) -> Chart | None:
    """Draw the newest part of the history of a score. None if fewer than two runs have a value."""
    known = [(point, point.value) for point in points if point.value is not None]
    if len(known) < 2:
        return None
    shown = known[-MOST_MARKS:]
    title = title if shown == known else f"{title}, the newest {MOST_MARKS} of {len(known)} runs"
    ends = [(value if p.low is None else p.low, value if p.high is None else p.high) for p, value in shown]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    span = (high - low) or max(abs(high), 1e-3)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / span, 1)

    step = (RIGHT - LEFT - 32) / (len(shown) - 1)
    marks = tuple(
        Mark(round(LEFT + 16 + step * index, 1), y(value), y(ends[index][0]), y(ends[index][1]),
             f"{point.when}: {number(value, percent)} [{number(ends[index][0], percent)}, "
             f"{number(ends[index][1], percent)}]", point.comparable)
        for index, (point, value) in enumerate(shown)
    )  # fmt: skip
    levels = [low + span * index / (TICKS - 1) for index in range(TICKS)]
    whens = (shortened(shown[0][0].when), shortened(shown[-1][0].when))
    return Chart(title, marks, tuple((y(level), number(level, percent)) for level in levels), whens)


def shortened(text: str) -> str:
    """Return a label of the horizontal axis that takes less than half of it."""
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"
