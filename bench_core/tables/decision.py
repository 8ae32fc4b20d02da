"""The state of a comparison with a baseline, as a sequential test sees it, and its text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

LISTED = 8  # comparisons of one state below a table
State = Literal["decided", "tied", "undecided", "void"]


@dataclass(frozen=True)
class Decision:
    """The state of one comparison.

    Attributes:
        labels: The labels of the row.
        state: `decided`: its difference is not zero. `tied`: it is within the margin. `undecided`: neither, yet.
            `void`: the two rows cannot be compared.
        images: The number of images at which it was decided or tied; of another, the number of all images.
        low: The lower end of the confidence sequence of the mean difference, after all images. The mean is over the
            black-box targets, at steps that were chosen before.
        high: The upper end.
        more: About how many more images an undecided comparison needs; None if more than `most`.
        most: The largest number that `more` can be.
        reason: Why it is void.
    """

    labels: tuple[str, ...]
    state: State
    images: int
    low: float = math.nan
    high: float = math.nan
    more: int | None = None
    most: int = 0
    reason: str = ""

    @property
    def name(self) -> str:
        return " ".join(self.labels)

    @property
    def ended(self) -> bool:
        return self.state in ("decided", "tied")

    def __str__(self) -> str:
        match self.state:
            case "decided" | "tied":
                return f"{self.state} at {self.images}"
            case "undecided":
                return f"undecided, {self.needed} more"
        return "not comparable"

    @property
    def needed(self) -> str:
        """How many more images are needed, with two significant digits."""
        if self.more is None:
            return f"over {self.most}"
        digits = max(0, len(str(self.more)) - 2)
        return f"~{-(-self.more // 10**digits) * 10**digits}"

    def record(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            key: (None if isinstance(value, float) and math.isnan(value) else list(value) if key == "labels" else value)
            for key, value in asdict(self).items()
            if key != "most"
        }


@dataclass(frozen=True)
class Decisions:
    """The states of all comparisons of a table.

    Attributes:
        table: The name of the table.
        alpha: The probability that any comparison without a difference is ever decided, at most.
        margin: The margin of ties, a share.
        each: The comparisons.
    """

    table: str
    alpha: float
    margin: float
    each: Sequence[Decision]

    @property
    def ended_at(self) -> int | None:
        """The number of images at which the last comparison ended; None while one is undecided, or if none ended."""
        ended = [decision.images for decision in self.each if decision.ended]
        undecided = any(decision.state == "undecided" for decision in self.each)
        return None if undecided or not ended else max(ended)

    def of(self, state: State) -> list[Decision]:
        return [decision for decision in self.each if decision.state == state]

    def counts(self) -> str:
        """Return how many comparisons have which state, as text."""
        states: tuple[State, ...] = ("decided", "tied", "undecided", "void")
        found = [f"{len(self.of(state))} {state}" for state in states if self.of(state)]
        return ", ".join(found) or "nothing to decide"

    def notes(self) -> list[str]:
        """Return the lines below the table."""
        points = f"{100 * self.margin:g}"
        listed = {
            "decided": [f"{one.name} at {one.images} images" for one in self.of("decided")],
            f"tied within {points} {'point' if points == '1' else 'points'}": [
                f"{one.name} at {one.images} images" for one in self.of("tied")
            ],
            "undecided": [f"{one.name} ({one.needed} more images)" for one in self.of("undecided")],
            "not comparable": [f"{one.name} ({one.reason})" for one in self.of("void")],
        }
        notes = [f"{what}: {'; '.join(_shortened(names))}" for what, names in listed.items() if names]
        family = f"any of the {len(self.each)} comparisons" if len(self.each) > 1 else "the comparison"
        if notes:
            notes.append(
                f"at most {100 * self.alpha:g}% probability that {family} is wrongly decided, and as much that any is "
                "wrongly tied, at whatever image a run stops (e-Holm); the 95% intervals are for one look"
            )
        return notes

    def record(self) -> dict[str, Any]:
        """Return them as JSON."""
        each = [decision.record() for decision in self.each]
        return {"table": self.table, "alpha": self.alpha, "margin": self.margin, "comparisons": each}


def _shortened(names: Sequence[str]) -> list[str]:
    """Return the first names and the number of the others: a catalogue has a hundred comparisons."""
    left = len(names) - LISTED
    return [*names[:LISTED], *([f"{left} more (run.json has all)"] if left > 0 else [])]
