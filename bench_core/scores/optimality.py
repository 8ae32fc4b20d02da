"""How near each attack comes to the best attack of a run on each image (AttackBench: Cina et al., arXiv:2404.19460)."""

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
from .images import ImageSet, PerImage, Unpairable, joined, per_image
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
class _Attack:
    """What is known of an attack on one network: its distances with those of the best attacks, [n] each."""

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
    rows: Sequence[RowSet], label: str, entry: OptimalityEntry, suite: Suite, varying: Collection[str]
) -> Iterator[LabelledScore]:
    """Yield the scores of each attack: LABEL.gap and LABEL.local on each network, and LABEL.global over networks.

    Args:
        rows: The rows of a run.
        label: The label of the scores.
        entry: The suite's entry.
        suite: The suite, of which the budgets' eps are used.
        varying: The labels in which attacks on one network and norm differ.
    """
    metric, _, name = entry.value.partition(".")
    norm = suite.metrics[metric].options.get("norm")
    on_network: dict[Labels, list[RowSet]] = defaultdict(list)
    for row in rows:
        of_norm = norm in (None, row.labels.get("norm"))
        if row.metric == metric and row.labels.relation is Relation.WHITE_BOX and of_norm:
            on_network[row.labels.without(varying)].append(row)
    attacks: dict[Labels, list[_Attack]] = defaultdict(list)
    unknown: set[Labels] = set()
    for network, members in on_network.items():
        void, series = _series(members, name)
        if void:
            yield void_score(f"{label}.*", network, void)
            unknown |= {row.labels.without(OF_NETWORK) for row in members}
            continue
        best = envelope(np.stack([one.values for one in series]))
        for row, one in zip(members, series, strict=True):
            eps = float(suite.budgets[str(row.labels.budget)].eps)
            attack = _Attack(row.labels, one.images, one.values, best, eps)
            attacks[row.labels.without(OF_NETWORK)].append(attack)
            yield LabelledScore(f"{label}.gap", row.labels, mean("gap", gap(one.values, best, eps)), images=one.images)
            yield _optimal(f"{label}.local", row.labels, [attack])
    for labels in dict.fromkeys([*attacks, *unknown]):
        known = attacks[labels]
        if labels in unknown or any(attack.images != known[0].images for attack in known):
            yield void_score(f"{label}.global", labels, "it is not known on the same images of each network")
        else:
            yield _optimal(f"{label}.global", labels, known)


def _series(rows: Sequence[RowSet], name: str) -> tuple[str, list[PerImage]]:
    """Return why there is no envelope, or "" and the distances of each attack."""
    try:
        if any(row.void for row in rows):
            raise Unpairable(next(row.void for row in rows if row.void) or "")
        series = [per_image(row.images, row.arrays[name]) for row in rows]
        if np.isnan(joined(series)).any():
            raise Unpairable("some distances are unknown")
    except Unpairable as error:
        return f"no envelope: {error}", []
    return "", series


def _optimal(name: str, labels: Labels, attacks: Sequence[_Attack]) -> LabelledScore:
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
