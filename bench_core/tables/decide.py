"""Decides the comparisons of a table with its baseline, by tests that are valid at every look.

All comparisons are looked at after each image, in the order of the run's list of images. A decision is therefore a
function of the rows alone: it is the same in one go, after a resumption, and after more images, whatever the executor
and the micro-batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..scores.earlier import EarlierOnly
from ..scores.images import PerImage, Unpairable, joined
from ..scores.scored import Scores
from ..scores.sequences import LARGE, UNIFORM, Growth, e_holm, log_e, log_e_of_wins, log_e_within, sequence
from ..suite.decide import DecideEntry
from ..suite.outputs import TableEntry
from .arrange import Key, Pair, arrange
from .decision import Decision, Decisions, State

Values = NDArray[np.float64]
AHEAD = 9  # how many times as many images are looked ahead
LOOKS_AHEAD = 20  # in as many images as there are
LARGEST_LOG = 700.0  # exp of more is infinite


@dataclass(frozen=True)
class Compared:
    """One comparison.

    Attributes:
        differences: The difference of each image [n], in the order of the run's list; NaN for one that does not count.
        single: Whether there is a single target.
    """

    differences: Values
    single: bool

    @property
    def bets(self) -> Values:
        return UNIFORM if self.single else LARGE

    def different(self) -> Values:
        """Return the log-evidence against a difference of zero after each image, [n]."""
        known = self.differences[~np.isnan(self.differences)]
        if self.single and np.isin(known, (-1, 0, 1)).all():  # the closed form of the same bets
            return log_e_of_wins(self.differences)
        return log_e(self.differences, bets=self.bets)

    def within(self, margin: float) -> Values:
        """Return the log-evidence against a difference of the margin or more after each image, [n]."""
        return log_e_within(self.differences, margin, self.bets)

    def growth(self) -> Growth:
        return Growth.of(self.differences, self.bets)


def decide(
    scores: Scores, table: TableEntry, decide: DecideEntry, by_step: Mapping[str, str], images: int, where: str
) -> Decisions:
    """Decide the comparisons of a table.

    Args:
        scores: The scores that the table shows, and those that `by_step` names.
        table: The suite's entry of the table, which has a baseline.
        decide: The suite's `[decide]`.
        by_step: The scores that choose a step by all images (see `EarlierOnly`).
        images: The number of attacked images.
        where: The path of the suite's file, for messages.
    """
    arranged, earlier = arrange(scores, table, where), EarlierOnly(scores, by_step)
    compared, void = dict[Key, Compared](), dict[Key, str]()
    for row in arranged.rows:
        pairs, unpaired = arranged.pairs(row), arranged.why_unpaired(row)
        try:
            if unpaired:
                void[row] = unpaired
            elif pairs:
                compared[row] = compare(pairs, earlier, images)
        except Unpairable as error:
            void[row] = str(error)
    every = list(compared.values())
    ends, ahead = (
        dict(zip(compared, found, strict=True)) for found in (ends_of(every, decide), ahead_of(every, decide))
    )
    each = []
    for row in arranged.rows:
        if row in void:
            each.append(Decision(row, "void", images, reason=void[row]))
        elif row in compared:
            low, high = sequence(compared[row].differences, decide.alpha, compared[row].bets)
            end, later = ends[row], ahead[row]
            state, at = end or ("undecided", images)
            more = later[1] - images if end is None and later else None
            each.append(Decision(row, state, at, low, high, more, AHEAD * images))
    return Decisions(table.name, decide.alpha, decide.margin, tuple(each))


def compare(pairs: Sequence[Pair], earlier: EarlierOnly, images: int) -> Compared:
    """Return the difference of each image, averaged over the targets that count it.

    Args:
        pairs: The scores of the row and of its baseline, for each target.
        earlier: Returns their values.
        images: The number of attacked images.

    Raises:
        Unpairable: The scores are not shares of the same attacked images.
    """
    columns = np.full((len(pairs), images), np.nan)
    for column, pair in zip(columns, pairs, strict=True):
        series = [earlier.values(score) for score in pair]
        both = joined(series)
        _check_shares(series, both)
        column[series[0].images.indices] = both[0] - both[1]
    counted = np.sum(~np.isnan(columns), axis=0)
    sums = np.nansum(columns, axis=0)
    differences = np.divide(sums, counted, out=np.full(images, np.nan), where=counted > 0)
    return Compared(differences, len(pairs) == 1)


def _check_shares(series: Sequence[PerImage], values: Values) -> None:
    if any(one.images.over != "selected" for one in series):
        raise Unpairable("the values are of all images of the dataset, which a run does not look at one by one")
    if not (np.all(values >= 0) and np.all(values <= 1)):
        raise Unpairable("some values are outside [0, 1]")


End = tuple[State, int]  # how a comparison ended, and after how many images


def ends_of(compared: Sequence[Compared], decide: DecideEntry) -> list[End | None]:
    """Return how each comparison ended; None for one that has not."""
    if not compared:
        return []
    different = np.stack([one.different() for one in compared], axis=-1)
    within = np.stack([one.within(decide.margin) for one in compared], axis=-1)
    return _first_ends(different, within, np.arange(1.0, len(different) + 1), decide)


def ahead_of(compared: Sequence[Compared], decide: DecideEntry) -> list[End | None]:
    """Return how each comparison ends if further images are like those so far; None if not within `AHEAD`."""
    if not compared:
        return []
    images = np.ceil(len(compared[0].differences) * (1 + np.arange(1, AHEAD * LOOKS_AHEAD + 1) / LOOKS_AHEAD))
    growths = [one.growth() for one in compared]
    different = np.stack([growth.log_e(images) for growth in growths], axis=-1)
    within = np.stack([growth.log_e_within(decide.margin, images) for growth in growths], axis=-1)
    return _first_ends(different, within, images, decide)


def _first_ends(different: Values, within: Values, images: Values, decide: DecideEntry) -> list[End | None]:
    """Return how each of k comparisons first ends at looks after some numbers of images.

    No comparison leaves its family when it has ended: that keeps all looks valid.

    Args:
        different: The log-evidence that each is not zero, [looks, k].
        within: The log-evidence that each is within the margin, [looks, k].
        images: The number of images at each look, [looks].
        decide: The suite's `[decide]`.
    """
    looks = []
    for log_values in (different, within):
        rejected = e_holm(np.exp(np.minimum(log_values, LARGEST_LOG))) >= 1 / decide.alpha
        rejected[images < decide.fewest] = False
        looks.append([images[row.argmax()] if row.any() else math.inf for row in rejected.T])
    return [
        None
        if min(decided, tied) == math.inf
        else ("decided", int(decided))
        if decided <= tied
        else ("tied", int(tied))
        for decided, tied in zip(*looks, strict=True)
    ]
