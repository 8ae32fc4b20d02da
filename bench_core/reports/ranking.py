"""The entries of a leaderboard, their ranks, and the table that shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..result import Result
from ..runs.record import RunRecord
from ..scores.pareto import front
from ..scores.scored import LabelledScore
from ..statistics import bootstrap, surely_positive
from ..tables.sheet import Column, Sheet

By = Literal["attack", "source", "target"]


@dataclass(frozen=True)
class Contribution:
    """A run in a leaderboard.

    Attributes:
        name: The run's name in the leaderboard.
        result: The run.
        record: The run's record.
    """

    name: str
    result: Result
    record: RunRecord


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard.

    Attributes:
        label: The attack, source or target that is ranked.
        budget: The budget.
        runs: The names of the runs that have this result.
        pairs: The scores whose mean is ranked, by the labels in which they differ.
        cost: Forward and backward passes per image.
        flags: Errors and warnings.
        values: The mean over all pairs for each image [n]; empty if the entry is void.
        images: The names of the images [n].
    """

    label: str
    budget: str
    runs: tuple[str, ...]
    pairs: Mapping[tuple[str, ...], LabelledScore]
    cost: tuple[float, float]
    flags: tuple[str, ...]
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    images: tuple[str, ...] = ()

    @property
    def void(self) -> bool:
        return any(score.void for score in self.pairs.values())

    @property
    def value(self) -> float:
        return float(self.values.mean()) if len(self.values) else math.nan

    @property
    def key(self) -> tuple[Any, ...]:
        """What equal entries of several runs have in common, besides their values."""
        return self.label, self.budget, self.cost, self.flags, self.images, tuple(self.pairs)


def ranks(entries: Sequence[Entry], highest: bool) -> list[int]:
    """Rank entries over the same images by their means, with ties.

    The entries are ordered by their means, the best first. An entry shares the rank of the first of the current tie if
    the paired 95% interval of their difference contains zero; otherwise it begins a new tie, whose rank is its place in
    this order. A worse mean therefore never has a better rank.

    Args:
        entries: Entries over the same images in the same order.
        highest: Whether the highest value is the best.
    """
    sign = 1 if highest else -1
    order = sorted(range(len(entries)), key=lambda place: -sign * entries[place].value)
    ranked = [0] * len(entries)
    first, rank = None, 0
    for place, index in enumerate(order, start=1):
        values = entries[index].values
        if first is None or surely_positive(sign * (first - values)):
            first, rank = values, place
        ranked[index] = rank
    return ranked


def leaderboard_sheet(
    entries: Sequence[Entry], runs: Sequence[Contribution], by: By, score: str, highest: bool,
    where: Mapping[str, str], only: Sequence[str] = (),
) -> Sheet:  # fmt: skip
    """Return the ranked table of a suite's entries, each budget ranked separately.

    Args:
        entries: The entries. Those of one budget are over the same images and pairs.
        runs: The runs of the entries.
        by: What is ranked.
        score: The name of the score that ranks.
        highest: Whether the highest value is the best.
        where: The labels that the scores were selected by.
        only: The outcomes that an image must have to count; all images by default.
    """
    binary = all(score.per_image.binary for entry in entries if not entry.void for score in entry.pairs.values())
    kind: Literal["percent", "number"] = "percent" if binary else "number"
    columns = (
        Column("rank", "count"), Column(by), Column("budget"), Column(score, kind), Column("low", kind),
        Column("high", kind), Column("N", "count"), Column("pairs", "count"), Column("forwards", "number"),
        Column("backwards", "number"), Column("front"), Column("flags", remarks=True), Column("run"),
    )  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for budget in dict.fromkeys(entry.budget for entry in entries):
        ranked = [entry for entry in entries if entry.budget == budget and not entry.void]
        indices = front([(sum(entry.cost), entry.value) for entry in ranked], highest)
        on_front = {id(ranked[index]) for index in indices}
        in_order = sorted(
            zip(ranks(ranked, highest), ranked, strict=True),
            key=lambda pair: (pair[0], -pair[1].value if highest else pair[1].value),
        )
        void = [(None, entry) for entry in entries if entry.budget == budget and entry.void]
        for rank, entry in (*in_order, *void):
            low, high = bootstrap(entry.values)
            rows.append((
                rank, entry.label, budget, entry.value, low, high, len(entry.values), len(entry.pairs), *entry.cost,
                "yes" if id(entry) in on_front else "", "; ".join(entry.flags), ", ".join(entry.runs),
            ))  # fmt: skip
    suite = runs[0].result.suite
    strong = frozenset(index for index, row in enumerate(rows) if row[0] == 1)
    pairs = " ".join(["pairs" if "relation" in where else "black-box pairs", *map("=".join, where.items())])
    notes = [
        f"the {'highest' if highest else 'lowest'} is the best; ordered by the mean; an entry ties with the first of "
        "its rank if the paired 95% interval of their difference contains zero; each budget is ranked separately",
        *([f"only images with {' and '.join(only)}"] if only else []),
        f"mean over {pairs}; forwards and backwards: passes through the source per image; front: the Pareto front, "
        "no other entry of the same budget is as good with as few passes",
        f"adversarial images: {'of 8 bits, rounded inside the ball' if suite.quantise else 'floats'}",
        *map(_provenance, runs),
    ]
    return Sheet(f"{suite.title}: {by}s by {score}", columns, tuple(rows), tuple(notes), strong)


def _provenance(run: Contribution) -> str:
    """Return a note on the origin of a run's numbers."""
    record = run.record
    environment, versions = record.environment, record.versions
    limited = f", limited to {record.limit} images" if record.limit else ""
    return (
        f"{run.name}: suite {record.suite.name}, images {record.images.digest[:12]}{limited}, code {record.host[:12]}, "
        f"bench {versions['adversarial-bench']}, torch {environment['torch']} on {environment['device']}"
    )
