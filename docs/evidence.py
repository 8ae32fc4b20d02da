"""The intervals that support or contradict a finding of a paper, read from the result of a suite."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bench_core import Result
from bench_core.scores.images import Unpairable, difference
from bench_core.scores.scored import LabelledScore
from bench_core.statistics import bootstrap
from bench_core.tables.table import Table


@dataclass(frozen=True)
class Evidence:
    """The 95% interval of one difference, which is zero if the finding does not hold."""

    label: str
    low: float
    high: float

    @property
    def side(self) -> int:
        """Return 1 if the interval is above zero, -1 if below, 0 if it contains zero."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Finding:
    """A claim of a paper, the side of zero that it predicts, and a function that reads the evidence from a result."""

    claim: str
    side: int
    read: Callable[[Result], list[Evidence]]


def differences(table: str, attacks: Iterable[str] | None = None, **labels: str) -> Callable[[Result], list[Evidence]]:
    """Read the differences from the baseline in a table, for some attacks or all attacks of the suite."""

    def read(result: Result) -> list[Evidence]:
        found = table_of(result, table)
        wanted = set(attacks or result.suite.attacks)
        evidence = []
        for key, cells in found.rows:
            row = dict(zip(found.header, key, strict=False))
            fits = row.get("attack") in wanted and all(row.get(k) == v for k, v in labels.items())
            if fits and not np.isnan(cells[-1].low):
                evidence.append(Evidence(" ".join(key), cells[-1].low, cells[-1].high))
        return evidence

    return read


def every_cell(
    table: str, columns: Collection[str] = (), **rows: str | Collection[str]
) -> Callable[[Result], list[Evidence]]:
    """Read the intervals of a table, optionally only of some columns and of rows with some labels."""

    def read(result: Result) -> list[Evidence]:
        found = table_of(result, table)
        evidence = []
        for key, cells in found.rows:
            row = dict(zip(found.header, key, strict=False))
            if all(row[name] in ((wanted,) if isinstance(wanted, str) else wanted) for name, wanted in rows.items()):
                evidence += [
                    Evidence(f"{' '.join(key)} to {column}", cell.low, cell.high)
                    for column, cell in zip(found.header[found.dimensions :], cells, strict=True)
                    if not np.isnan(cell.low) and (not columns or column in columns)
                ]
        return evidence

    return read


def best_step_against_last(attack: str) -> Callable[[Result], list[Evidence]]:
    """Compare the step that leave-one-out chooses without the image itself with the last step, by image."""

    def read(result: Result) -> list[Evidence]:
        evidence = []
        for source in dict.fromkeys(score.labels.get("source") for score in result.scores):
            kept: dict[str, list[np.ndarray]] = {"transfer.success": [], "transfer.last": []}
            for labelled in result.scores:
                labels = labelled.labels
                ours = labels.get("attack") == attack and labels.get("source") == source
                if ours and labels.get("relation") == "black-box" and labelled.metric in kept:
                    assert labelled.score.per_image is not None
                    kept[labelled.metric].append(labelled.score.per_image)
            if kept["transfer.last"]:
                change = np.mean(kept["transfer.success"], axis=0) - np.mean(kept["transfer.last"], axis=0)
                evidence.append(Evidence(f"{source} {attack}", *bootstrap(change)))
        return evidence

    return read


def gap(name: str, ours: LabelledScore, theirs: LabelledScore) -> list[Evidence]:
    """Return the interval of a difference, paired image by image; nothing where the two are of different images."""
    try:
        return [Evidence(name, *bootstrap(difference(ours.per_image, theirs.per_image).values))]
    except Unpairable:
        return []


def paired(
    value: str, more: Mapping[str, str], less: Mapping[str, str], **where: str
) -> Callable[[Result], list[Evidence]]:
    """Compare scores that have the labels `more` with those that have `less` and are otherwise equal, by image."""

    def read(result: Result) -> list[Evidence]:
        scores = {
            frozenset((name, str(label)) for name, label in score.labels.items()): score
            for score in result.scores
            if score.metric == value
        }
        evidence = []
        for labels, ours in scores.items():
            theirs = scores.get(frozenset((dict(labels) | less).items()))
            if {*more.items(), *where.items()} <= labels and theirs is not None:
                shared = [label for name, label in sorted(labels) if name in ("source", "attack", "target")]
                evidence += gap(f"{' '.join(shared)} {' '.join(less.values())}", ours, theirs)
        return evidence

    return read


def higher(one: str, other: str) -> Callable[[Result], list[Evidence]]:
    """Compare two scores with the same labels, paired by image."""

    def read(result: Result) -> list[Evidence]:
        scores = {
            (score.metric, frozenset(score.labels.items())): score
            for score in result.scores
            if score.metric in (one, other)
        }
        return [
            evidence
            for (metric, labels), score in scores.items()
            if metric == one
            for evidence in gap(" ".join(str(label) for _, label in sorted(labels)), score, scores[other, labels])
        ]

    return read


def best_detector(one: str, other: str) -> Callable[[Result], list[Evidence]]:
    """Compare the best areas under the ROC curve of two metrics, in either direction, paired by image.

    The best is chosen on the same images that it is evaluated on, which favours the metric with more candidates.
    """

    def read(result: Result) -> list[Evidence]:
        evidence = []
        for source in dict.fromkeys(score.labels["source"] for score in result.scores if score.metric == one):
            best = []
            for value in (one, other):
                found = [score for score in result.scores if score.metric == value and score.labels.source == source]
                top = max(found, key=lambda score: abs(score.score.value - 0.5))
                areas = top.per_image
                best.append(areas if top.score.value >= 0.5 else replace(areas, values=1 - areas.values))
            evidence.append(Evidence(str(source), *bootstrap(difference(*best).values)))
        return evidence

    return read


def table_of(result: Result, name: str) -> Table:
    return next(table for table in result.tables if table.name == name)
