"""Collects the distances that other runs in a results folder reached on the images and networks of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..reserved import RECORD
from ..scores.images import ImageSet
from ..scores.labels import Labels, Relation
from ..scores.rows import Arrays, RowSet, unpack_rows
from ..suite.model import Suite
from ..suite.outputs import OptimalityEntry
from ..types import Metric
from .folder import ROWS_FILE, find_runs
from .record import Facts, RunRecord, read_record

Key = tuple[str, str, str]  # source, attack and budget
Models = Mapping[str, Mapping[str, Any]]


def network_identity(suite: Suite, models: Models, source: str) -> str:
    """Return what identifies an attacked network, or ensemble, in any suite.

    Args:
        suite: The suite.
        models: Recipe, options, identity and code of each model, by its label in the suite.
        source: The label of the source.
    """
    members = [models[name] for name in suite.members_by_source[source]]
    return json.dumps([members, suite.ensemble if len(members) > 1 else None], sort_keys=True)


@dataclass(frozen=True)
class Attacked:
    """What a run attacks, in the terms by which it is compared with other runs.

    Attributes:
        suite: The suite.
        models: Recipe, options, identity and code of each model, by its label in the suite.
        ids: The SHA-256 digests of the attacked images.
        truth: Their classes.
    """

    suite: Suite
    models: Models
    ids: Sequence[str]
    truth: Sequence[int]

    @property
    def images(self) -> dict[tuple[str, int], int]:
        """The position of each image, by its digest and class."""
        return {pair: index for index, pair in enumerate(zip(self.ids, self.truth, strict=True))}

    def pair(self, labels: Labels) -> tuple[str, str] | None:
        """Return what identifies the source and the target of some rows; None if one of them is not in this suite."""
        if labels.source not in self.suite.members_by_source or labels.target is None:
            return None
        target = json.dumps(self.models[labels.target], sort_keys=True)
        return network_identity(self.suite, self.models, labels.source), target


@dataclass(frozen=True)
class OtherRuns:
    """What other runs contribute to the best distances of a run.

    Attributes:
        rows: A set of rows for each of their attacks: its distances on the images in common. The metric is the label of
            the entry of `[optimality]`, and the label `run` is the folder of the other run.
        runs: For `run.json`: the folder of each of these runs, the SHA-256 of its rows, and its attacks.
        notes: Notes for the reader on runs that do not count.
    """

    rows: Sequence[RowSet] = ()
    runs: Sequence[Facts] = ()
    notes: Sequence[str] = ()


ONLY_THIS_RUN = OtherRuns()


def read_other_runs(out: Path, folder: Path, attacked: Attacked, metrics: Mapping[str, Metric]) -> OtherRuns:
    """Collect what the other runs in a results folder reached, if the suite has an `[optimality]` entry with `store`.

    Args:
        out: The folder of all results.
        folder: The folder of the run itself; an earlier result in it does not count.
        attacked: What the run attacks.
        metrics: Its metrics, by their labels.
    """
    entries = {label: entry for label, entry in attacked.suite.optimality.items() if entry.store}
    rows, runs, unread = list[RowSet](), list[Facts](), list[str]()
    for path in find_runs(out) if entries else []:
        if path.resolve() == folder.resolve():
            continue
        name = path.relative_to(out).as_posix()
        try:
            found = list(_reached(path, name, entries, attacked, metrics))
        except (UsageError, LookupError, ValueError, OSError):  # of another version, or being written
            unread.append(name)
            continue
        if found:
            digest = hashlib.sha256((path / ROWS_FILE).read_bytes()).hexdigest()
            attacks = sorted({str(row.labels.attack) for row in found})
            runs.append({"folder": name, "rows": digest, "attacks": attacks})
            rows += found
    notes = [f"the best distances do not count runs that cannot be read: {', '.join(unread)}"] if unread else []
    return OtherRuns(rows, runs, notes)


def _reached(
    path: Path, name: str, entries: Mapping[str, OptimalityEntry], attacked: Attacked, metrics: Mapping[str, Metric]
) -> Iterator[RowSet]:
    """Yield the distances of each attack of another run on the images and networks in common."""
    record = read_record(path)
    other = Attacked(record.suite, record.models, record.images.ids, record.truth)
    common = {theirs: attacked.images[image] for image, theirs in other.images.items() if image in attacked.images}
    if record.suite.targeted or record.suite.quantise != attacked.suite.quantise or not common:
        return
    here = {pair: labels for labels in _pairs(attacked) if (pair := attacked.pair(labels))}
    if not any(other.pair(labels) in here for labels in _pairs(other)):
        return
    rows = unpack_rows(str(path / ROWS_FILE))
    for label, entry in entries.items():
        for row, distances in _distances(rows, record, attacked.suite, entry, metrics):
            pair = other.pair(row.labels)
            if pair is None or pair not in here:
                continue
            network = here[pair]
            kept = [at for at, image in enumerate(row.images.indices.tolist()) if image in common]
            positions = [common[int(row.images.indices[at])] for at in kept]
            labels = Labels.of({
                "source": network.source, "target": network.target, "attack": row.labels.attack,
                "budget": row.labels.budget, "norm": row.labels.norm, "relation": Relation.WHITE_BOX, "run": name,
            })  # fmt: skip
            yield RowSet(label, labels, ImageSet.of("selected", positions), {"distance": distances[kept]})


def _pairs(attacked: Attacked) -> Iterator[Labels]:
    """Yield the labels of each source with each of its members."""
    for source, members in attacked.suite.members_by_source.items():
        for member in members:
            yield Labels(source=source, target=member)


def _distances(
    rows: Sequence[RowSet], record: RunRecord, ours: Suite, entry: OptimalityEntry, metrics: Mapping[str, Metric]
) -> Iterator[tuple[RowSet, NDArray[np.float64]]]:
    """Yield rows of white-box attacks in the entry's norm with their distances, infinite where an image is not fooled.

    The rows are those of the same metric with the same options. If the metric declares in `sizes` that the row is the
    size of the perturbation, attacks that it did not observe count too, by the sizes that bench recorded of their last
    images.
    """
    label, _, name = entry.value.partition(".")
    metric, norm = ours.metrics[label], ours.metrics[label].options.get("norm")
    same = {
        theirs
        for theirs, found in record.suite.metrics.items()
        if (found.recipe, found.options) == (metric.recipe, metric.options)
    }
    measured = set[Key]()
    for row in rows:
        if row.metric in same and not row.void and _counts(row, norm) and row.labels.relation is Relation.WHITE_BOX:
            measured.add(_key(row.labels))
            yield row, _known(row.arrays[name])
    if norm is None or name not in getattr(metrics[label], "sizes", ()):
        return
    for row in rows:
        of_single = len(record.suite.members_by_source.get(str(row.labels.source), ())) == 1
        recorded = row.metric == RECORD and not row.void and {"margin", norm} <= {*row.arrays}
        if recorded and of_single and _counts(row, norm) and _key(row.labels) not in measured:
            (target,) = record.suite.members_by_source[str(row.labels.source)]
            labels = Labels.of({**row.labels, "target": target})
            yield RowSet(row.metric, labels, row.images, row.arrays), _recorded(row.arrays, norm)


def _counts(row: RowSet, norm: str | None) -> bool:
    return row.images.over == "selected" and row.labels.attack is not None and norm in (None, row.labels.norm)


def _key(labels: Labels) -> Key:
    return str(labels.source), str(labels.attack), str(labels.budget)


def _known(distances: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(distances, dtype=np.float64)
    return np.where(np.isnan(values), np.inf, values)


def _recorded(arrays: Arrays, norm: str) -> NDArray[np.float64]:
    """Return the sizes of the last perturbations, infinite where they do not fool the network."""
    return np.where(arrays["margin"] > 0, arrays[norm].astype(np.float64), np.inf)
