"""How near each attack comes to the best attack on each image (AttackBench: Cina et al., arXiv:2404.19460)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..statistics import bootstrap_means, mean
from ..suite.model import Suite
from ..suite.outputs import OptimalityEntry
from ..types import Score
from .images import ImageSet, Unpairable, joined, per_image
from .labels import Labels, Relation
from .rows import RowSet
from .scored import LabelledScore, void_score

Distances = NDArray[np.float64]
OF_NETWORK = ("source", "target", "relation")


def envelope(distances: Distances) -> Distances:
    """Return the least distance of each image over attacks, [n] from [attacks, n]; infinite if none fools it."""
    least: Distances = distances.min(axis=0)
    return least


def gap(distances: Distances, best: Distances, far: float) -> Distances:
    """Return by how much an attack's distances [n] exceed the best ones [n], both cut at `far`.

    An attack's curve is the share of images that it does not fool within eps. Its area up to `far` is the mean of the
    cut distances, so the mean of the gaps is the area between its curve and that of the best distances.
    """
    return np.asarray(np.minimum(distances, far) - np.minimum(best, far))


def furthest(best: Distances, eps: float) -> float:
    """Return the eps at which the curve of the best distances [n] ends: at most the budget's."""
    return float(min(best.max(), eps))


def room(best: Distances, far: float) -> Distances:
    """Return the gaps [n] of an attack that fools nothing but what is misclassified without it."""
    return np.asarray(np.where(best > 0, far - np.minimum(best, far), 0.0))


@dataclass(frozen=True)
class Attack:
    """An attack on one network: its distances and the best distances of all attacks, [n] each."""

    labels: Labels
    images: ImageSet
    distances: Distances
    best: Distances
    eps: float

    @property
    def parts(self) -> tuple[Distances, Distances]:
        """The gaps and the room for them up to the end of the curve of the best distances."""
        far = furthest(self.best, self.eps)
        return gap(self.distances, self.best, far), room(self.best, far)


def optimality(
    rows: Sequence[RowSet], label: str, entry: OptimalityEntry, suite: Suite, varying: Collection[str],
    elsewhere: Sequence[RowSet] = (),
) -> Iterator[LabelledScore]:  # fmt: skip
    """Yield the scores of each attack: LABEL.gap and LABEL.local on each network, and LABEL.global over networks.

    Args:
        rows: The rows of a run.
        label: The label of the scores.
        entry: The suite's entry.
        suite: The suite, of which the budgets' eps are used.
        varying: The labels in which attacks on one network and norm differ.
        elsewhere: What other runs reached, if they count; see `runs.other_runs.OtherRuns.rows`.
    """
    attacks: dict[Labels, list[Attack]] = defaultdict(list)
    unknown: set[Labels] = set()
    others = [row for row in elsewhere if row.metric == label]
    for network, members in rows_by_network(rows, entry, suite, varying).items():
        try:
            found = attacks_on(members, entry, suite, others)
        except Unpairable as error:
            yield void_score(f"{label}.*", network.without({"relation"}), f"no envelope: {error}")
            unknown |= {row.labels.without(OF_NETWORK) for row in members}
            continue
        for attack in found:
            attacks[attack.labels.without(OF_NETWORK)].append(attack)
            excess = mean("gap", gap(attack.distances, attack.best, attack.eps))
            labels = attack.labels.without({"relation"})  # all are white-box, and so none is left out of a difference
            yield LabelledScore(f"{label}.gap", labels, excess, images=attack.images)
            yield _optimal(f"{label}.local", labels, [attack])
    for labels in dict.fromkeys([*attacks, *unknown]):
        known = attacks[labels]
        if labels in unknown or any(attack.images != known[0].images for attack in known):
            yield void_score(f"{label}.global", labels, "it is not known on the same images of each network")
        else:
            yield _optimal(f"{label}.global", labels, known)


def rows_by_network(
    rows: Sequence[RowSet], entry: OptimalityEntry, suite: Suite, varying: Collection[str]
) -> dict[Labels, list[RowSet]]:
    """Return the rows of the white-box attacks on each network in the entry's norm.

    Args:
        rows: The rows of a run.
        entry: The suite's entry.
        suite: The suite.
        varying: The labels in which attacks on one network and norm differ.
    """
    metric = entry.value.partition(".")[0]
    norm = suite.metrics[metric].options.get("norm")
    on_network: dict[Labels, list[RowSet]] = defaultdict(list)
    for row in rows:
        of_norm = norm in (None, row.labels.get("norm"))
        if row.metric == metric and row.labels.relation is Relation.WHITE_BOX and of_norm:
            on_network[row.labels.without(varying)].append(row)
    return on_network


def attacks_on(
    rows: Sequence[RowSet], entry: OptimalityEntry, suite: Suite, elsewhere: Sequence[RowSet] = ()
) -> list[Attack]:
    """Return the attacks on one network with their distances and the best ones.

    Args:
        rows: The rows of the attacks.
        entry: The suite's entry.
        suite: The suite, of which the budgets' eps are used.
        elsewhere: What other runs reached, on this and on other networks.

    Raises:
        Unpairable: Some distances are void or unknown, or of different images.
    """
    void = next((row.void for row in rows if row.void), None)
    if void:
        raise Unpairable(void)
    name = entry.value.partition(".")[2]
    series = [per_image(row.images, row.arrays[name]) for row in rows]
    distances = joined(series)
    if np.isnan(distances).any():
        raise Unpairable("some distances are unknown")
    of_others = [best_elsewhere(elsewhere, rows[0].labels, series[0].images)] if elsewhere else []
    best = envelope(np.stack([*distances, *of_others]))
    return [
        Attack(row.labels, one.images, one.values, best, float(suite.budgets[str(row.labels.budget)].eps))
        for row, one in zip(rows, series, strict=True)
    ]


def best_elsewhere(elsewhere: Sequence[RowSet], labels: Labels, images: ImageSet) -> Distances:
    """Return the least distance [n] that other runs reached on each image; infinite where they reached none.

    Args:
        elsewhere: What other runs reached on some images of some networks.
        labels: Labels with the network and the norm.
        images: The images.
    """
    best = np.full(1 + max(images.indices, default=0), np.inf)
    for row in elsewhere:
        if same_network(row.labels, labels):
            known = row.images.indices < len(best)  # an interrupted run has only the first of its images
            np.minimum.at(best, row.images.indices[known], row.arrays["distance"][known])
    return np.asarray(best[images.indices])


def same_network(first: Labels, second: Labels) -> bool:
    """Return whether two attacks were on the same network in the same norm."""
    return (first.source, first.target, first.norm) == (second.source, second.target, second.norm)


def _optimal(name: str, labels: Labels, attacks: Sequence[Attack]) -> LabelledScore:
    """Return the mean, over networks, of 1 - gap / room, with its 95% bootstrap interval over images.

    The images are resampled together on all networks. The envelope and its end stay as they are.
    """
    count = len(attacks[0].images)
    pairs = [attack.parts for attack in attacks]
    if any(np.isin(np.minimum(attack.best, attack.eps), (0, attack.eps)).all() for attack in attacks):
        return void_score(name, labels, "no attack fools an image within eps")
    if any(room_of.sum() == 0 for _, room_of in pairs):
        return void_score(name, labels, "the best distances of all images are equal")
    value = float(np.mean([1 - gaps.sum() / room_of.sum() for gaps, room_of in pairs]))
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = np.mean([1 - bootstrap_means(gaps) / bootstrap_means(room_of) for gaps, room_of in pairs], axis=0)
    resampled = resampled[np.isfinite(resampled)]
    low, high = np.quantile(resampled, [0.025, 0.975]) if len(resampled) else (math.nan, math.nan)
    return LabelledScore(name, labels, Score(name.partition(".")[2], value, float(low), float(high), count))


def other_runs_notes(
    suite: Suite, value: str, shown: Sequence[LabelledScore], elsewhere: Sequence[RowSet]
) -> Iterator[str]:
    """Yield a note of how many other runs and attacks the best distances of a table count, if any.

    Args:
        suite: The suite.
        value: The score that the table shows, as LABEL.SCORE.
        shown: The table's scores.
        elsewhere: What other runs reached.
    """
    label = value.partition(".")[0]
    if label not in suite.optimality or not suite.optimality[label].store:
        return
    networks = {score.labels.source for score in shown if score.labels.source is not None}
    counted = [row for row in elsewhere if row.metric == label and (not networks or row.labels.source in networks)]
    if not counted:
        yield "the best distances are those of this run: no other one attacks these images and networks in this norm"
        return
    runs = {row.labels["run"] for row in counted}
    attacks = {(row.labels["run"], row.labels.attack) for row in counted}
    number = f"{len(attacks)} attack{'s' * (len(attacks) > 1)} of {len(runs)} other run{'s' * (len(runs) > 1)}"
    yield f"the best distances are also those of {number} of this folder of results (run.json names them)"
