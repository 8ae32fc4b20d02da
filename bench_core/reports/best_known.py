"""The lowest accuracy that any attack of some runs has reached, for each network and ball, image by image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from ..planning.budgets import whole_budget
from ..reserved import RECORD
from ..runs.other_runs import network_identity
from ..statistics import proportion
from ..tables.sheet import Column, Sheet
from ..types import Budget, Norm
from .ranking import Contribution

NOTES = (
    "fooled: the network predicts a wrong class at the attack's end, also if it does so without the attack",
    "best known: the images that no attack of any run fools, in a ball of the same norm that is no larger",
    "lowest of one attack: of those that attacked all of the images",
    "in each ball, the network with the highest best known accuracy is first",
)


@dataclass(frozen=True)
class Attacked:
    """What one attack of one run did to its images.

    Attributes:
        network: The identity of the attacked network or networks, as text.
        label: Their label in the run.
        attack: The label of the attack.
        norm: The norm of the ball.
        eps: Its radius.
        fooled: Whether each image fools the network, by the image's digest.
    """

    network: str
    label: str
    attack: str
    norm: Norm
    eps: float
    fooled: Mapping[str, bool]


def attacked_in(run: Contribution) -> Iterator[Attacked]:
    """Yield what each untargeted attack of a run did."""
    record, suite = run.record, run.record.suite
    if suite.targeted:
        return
    for row in run.result.rows:
        if row.metric != RECORD or row.void or "margin" not in row.arrays:
            continue
        source, attack, label = row.labels.source, row.labels.attack, row.labels.budget
        if source is None or attack is None or label is None:
            continue
        network = network_identity(suite, record.models, source)
        budget: Budget = whole_budget(suite, label)
        ids = [record.images.ids[index] for index in row.images.indices]
        fooled = dict(zip(ids, (row.arrays["margin"] > 0).tolist(), strict=True))
        yield Attacked(network, source, attack, budget.norm, budget.eps, fooled)


def best_known(runs: Sequence[Contribution]) -> Sheet:
    """Return the lowest accuracies that are known of each network and ball, with 95% intervals.

    Balls are in the order of norm and eps, and within one the most robust network is first, as on RobustBench.

    Args:
        runs: The runs. They may be of different suites and of different images.
    """
    every = [attacked for run in runs for attacked in attacked_in(run)]
    groups = {(each.network, each.norm, each.eps, frozenset(each.fooled)): each.label for each in every}
    rows = []
    for (network, norm, eps, images), label in groups.items():
        ids = sorted(images)
        within = [each for each in every if (each.network, each.norm) == (network, norm) and each.eps <= eps]
        robust = np.array([not any(each.fooled.get(image, False) for each in within) for image in ids])
        whole = [each for each in within if images <= {*each.fooled}]
        alone = {each.attack: float(np.mean([not each.fooled[image] for image in ids])) for each in whole}
        lowest = min(alone, key=lambda attack: alone[attack])
        known = proportion("", robust)
        rows.append((
            label, norm, eps, alone[lowest], lowest, known.value, known.low, known.high, known.n,
            len({each.attack for each in within}),
        ))  # fmt: skip
    rows.sort(key=lambda row: (get_args(Norm).index(row[1]), row[2], -row[5], row[0]))
    columns = (
        Column("network"), Column("norm"), Column("eps", "number"), Column("lowest of one attack", "percent"),
        Column("attack"), Column("best known", "percent"), Column("low", "percent"), Column("high", "percent"),
        Column("N", "count"), Column("attacks", "count"),
    )  # fmt: skip
    return Sheet("Lowest known accuracy of each network, over all attacks of these runs", columns, tuple(rows), NOTES)
