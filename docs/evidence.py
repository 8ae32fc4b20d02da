"""What a finding of a paper is held against: intervals, read from the result of a suite."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bench_core import Result
from bench_core.statistics import bootstrap
from bench_core.tables.table import Table


@dataclass(frozen=True)
class Evidence:
    """One interval of something that is zero where the finding does not hold."""

    of: str
    low: float
    high: float

    @property
    def side(self) -> int:
        """1 above zero, -1 below, 0 where the interval holds zero."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Finding:
    """What the paper says, on which side of zero that is, and how to read the evidence off a result."""

    says: str
    side: int
    read: Callable[[Result], list[Evidence]]


def differences(table: str, attacks: Iterable[str] | None = None, **labels: str) -> Callable[[Result], list[Evidence]]:
    """Read a table's differences from its baseline, of some attacks, or of all that are not a derived row."""

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
    """Read the intervals of a table, all of them, or those of some columns, and of rows with some labels."""

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
    """Compare the step that leave-one-out takes, which has not seen the image, with the last, image by image."""

    def read(result: Result) -> list[Evidence]:
        evidence = []
        for source in dict.fromkeys(each.labels.get("source") for each in result.scores):
            kept: dict[str, list[np.ndarray]] = {"transfer.success": [], "transfer.last": []}
            for each in result.scores:
                labels = each.labels
                ours = labels.get("attack") == attack and labels.get("source") == source
                if ours and labels.get("relation") == "black-box" and each.metric in kept:
                    assert each.score.per_image is not None
                    kept[each.metric].append(each.score.per_image)
            if kept["transfer.last"]:
                change = np.mean(kept["transfer.success"], axis=0) - np.mean(kept["transfer.last"], axis=0)
                evidence.append(Evidence(f"{source} {attack}", *bootstrap(change)))
        return evidence

    return read


def paired(
    value: str, more: Mapping[str, str], less: Mapping[str, str], **where: str
) -> Callable[[Result], list[Evidence]]:
    """Compare, image by image, the scores with the labels `more` and those that differ only by having `less`."""

    def read(result: Result) -> list[Evidence]:
        scores = {
            frozenset((name, str(label)) for name, label in each.labels.items()): each.score.per_image
            for each in result.scores
            if each.metric == value
        }
        evidence = []
        for labels, ours in scores.items():
            theirs = scores.get(frozenset((dict(labels) | less).items()))
            if {*more.items(), *where.items()} <= labels and ours is not None and theirs is not None:
                shared = [label for name, label in sorted(labels) if name in ("source", "attack", "target")]
                evidence.append(Evidence(f"{' '.join(shared)} {' '.join(less.values())}", *bootstrap(ours - theirs)))
        return evidence

    return read


def higher(one: str, other: str) -> Callable[[Result], list[Evidence]]:
    """Compare two scores that have the same labels, image by image."""

    def read(result: Result) -> list[Evidence]:
        scores = {
            (each.metric, frozenset(each.labels.items())): each.score.per_image
            for each in result.scores
            if each.metric in (one, other)
        }
        return [
            Evidence(" ".join(str(label) for _, label in sorted(labels)), *bootstrap(values - scores[other, labels]))
            for (metric, labels), values in scores.items()
            if metric == one
        ]

    return read


def best_detector(one: str, other: str) -> Callable[[Result], list[Evidence]]:
    """Compare the best areas under the ROC curve that two metrics reach, whichever way round, pair by pair of images.

    Each best is chosen on the images that it is judged on, which flatters the metric that has more to choose from.
    """

    def read(result: Result) -> list[Evidence]:
        evidence = []
        for source in dict.fromkeys(each.labels["source"] for each in result.scores if each.metric == one):
            best = []
            for value in (one, other):
                found = [e.score for e in result.scores if e.metric == value and e.labels["source"] == source]
                top = max(found, key=lambda score: abs(score.value - 0.5))
                assert top.per_image is not None
                best.append(top.per_image if top.value >= 0.5 else 1 - top.per_image)
            evidence.append(Evidence(str(source), *bootstrap(best[0] - best[1])))
        return evidence

    return read


def table_of(result: Result, name: str) -> Table:
    return next(table for table in result.tables if table.name == name)
