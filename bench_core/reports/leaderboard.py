"""Many runs -> one ranked table for each suite, with ties by interval, cost, flags, and the origin of every number.

Only comparable entries are ranked: of the same images and budgets, over the same pairs of source and target.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError, did_you_mean, stop_at_faults
from ..gate.snapshot import default_gate, image_ids
from ..registry import Registry
from ..reserved import RECORD
from ..result import Result
from ..runs.folder import run_folder
from ..runs.load import load_result
from ..runs.record import RunRecord, read_record
from ..scores.images import Unpairable
from ..scores.labels import Relation
from ..scores.pareto import AttackKey, attack_of, front
from ..scores.scored import LabelledScore, Scores
from ..scores.warnings import flags
from ..statistics import bootstrap
from ..tables.sheet import Column, Sheet

By = Literal["attack", "source", "target"]
OF_THE_PAIR = ("source", "target", "attack")
RESTRICTIONS = ("sources", "attacks")


@dataclass(frozen=True)
class Contribution:
    """A run, and the name it is given."""

    name: str
    result: Result
    record: RunRecord


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard.

    Attributes:
        label: The attack, source or target that is ranked.
        budget: The budget.
        runs: The names of the runs that have the entry.
        pairs: The scores that the entry is the mean of, by the labels in which they differ.
        cost: Forward and backward passes per image.
        flags: Errors and warnings.
        values: The mean over all pairs, image by image [n]; empty where the entry is void.
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
        """Everything by which entries of several runs are recognised as one."""
        return self.label, self.budget, self.cost, self.flags, self.images, tuple(self.pairs)


def read_contributions(given: Sequence[str], registry: Registry | None = None, warn: bool = True) -> list[Contribution]:
    """Read runs given as FOLDER or NAME=FOLDER. Raises UsageError where one is not a run, or two have one name."""
    made = []
    for text in given:
        name, equals, folder = text.partition("=")
        path = run_folder(Path(folder if equals else text))
        made.append(Contribution(name if equals else str(path), load_result(path, registry, warn), read_record(path)))
    twice = sorted(name for name, count in Counter(run.name for run in made).items() if count > 1)
    stop_at_faults([Fault(name, "", "is given twice") for name in twice])
    return made


def leaderboards(
    runs: Sequence[Contribution],
    by: By = "attack",
    score: str | None = None,
    best: Literal["max", "min"] | None = None,
    where: Mapping[str, str] | None = None,
) -> list[Sheet]:
    """Rank the runs of each suite.

    Args:
        runs: The runs.
        by: What is ranked.
        score: The score to rank by; the first of the suite's gate by default.
        best: Whether the highest or the lowest is the best; as the gate states by default.
        where: Labels that scores must have. Without a relation only black-box pairs count.

    Raises:
        UsageError: The runs cannot be ranked; with all reasons.
    """
    groups: dict[tuple[str, str], list[Contribution]] = defaultdict(list)
    for run in runs:
        groups[run.result.suite.name, run.result.suite.profile].append(run)
    return [_of_suite(group, by, score, best, where or {}) for group in groups.values()]


def _of_suite(
    runs: Sequence[Contribution], by: By, score: str | None, best: str | None, where: Mapping[str, str]
) -> Sheet:
    suite = runs[0].result.suite
    gate = default_gate(suite)
    if score is None and not gate:
        raise UsageError(Fault(suite.file, "gate", "no score is gated: say which to rank by (--score)"))
    score = score or next(iter(gate))
    known = sorted({other.metric for run in runs for other in run.result.scores.valid()})
    if score not in known:
        raise UsageError(Fault("--score", "", f'no score "{score}" in {suite.name} {did_you_mean(score, known)}'))
    if best is None and (by != "attack" or score not in gate):
        message = f"say which {by} is the best, that of the highest or of the lowest {score} (--best max or min)"
        raise UsageError(Fault("--best", "", message))
    highest = best == "max" if best is not None else gate[score].better == "higher"
    stop_at_faults(list(_incomparable(runs)))
    entries = _merged([entry for run in runs for entry in _entries(run, by, score, where)])
    if not entries:
        raise UsageError(Fault("--where", "", f"leaves no {score} of {suite.name}"))
    stop_at_faults(list(_different(entries)))
    return _sheet(entries, runs, by, score, highest, where)


def _incomparable(runs: Sequence[Contribution]) -> Iterator[Fault]:
    """Yield the reasons why runs of one suite cannot be ranked together."""
    first = runs[0]
    for other in runs[1:]:
        one, two = first.record.images, other.record.images
        if one.digest != two.digest:
            common = len(set(one.ids) & set(two.ids))
            sizes = f"{len(two.ids)} against {len(one.ids)}, {common} in common"
            yield Fault(other.name, "images", f"attacks other images than {first.name}: {sizes}")
        for key, value in _threat(first).items():
            if value != _threat(other).get(key, value):
                message = f"found {_threat(other)[key]}, but {first.name} has {value}: another budget"
                yield Fault(other.name, key, message)


def _threat(run: Contribution) -> dict[str, Any]:
    suite = run.record.suite.model_dump(mode="json")
    budgets = {
        f"budgets.{name}": {key: value for key, value in budget.items() if key not in RESTRICTIONS}
        for name, budget in suite["budgets"].items()
    }
    return budgets | {key: suite[key] for key in ("loss", "random_start", "targeted", "quantise")}


def _entries(run: Contribution, by: By, score: str, where: Mapping[str, str]) -> Iterator[Entry]:
    """Yield an entry for each label of `by` under each budget. Raises UsageError where scores cannot be averaged."""
    scores = run.result.scores
    wanted = dict(where) if score.partition(".")[0] == RECORD else {"relation": str(Relation.BLACK_BOX), **where}
    groups: dict[tuple[str, str], dict[tuple[str, ...], LabelledScore]] = defaultdict(dict)
    for candidate in scores.select(score):
        labels = candidate.labels
        if all(str(labels.get(name, value)) == value for name, value in wanted.items()):
            pair = tuple(str(labels.get(name, "")) for name in (*OF_THE_PAIR, "step") if name != by)
            other = groups[str(labels.get(by, "")), labels.budget or ""].setdefault(pair, candidate)
            if other is not candidate:
                differ = ", ".join(name for name in labels if other.labels.get(name) != labels[name])
                message = f"{score} has several values for one pair; they differ in {differ} (choose with --where)"
                raise UsageError(Fault("--score", "", message))
    for (name, budget), pairs in groups.items():
        used = Scores(pairs.values())
        attacks = {attack_of(member) for member in used}
        concerned = [*used, *(other for other in scores if other.labels.attack and attack_of(other) in attacks)]
        cost = _passes(scores, attacks, "forwards"), _passes(scores, attacks, "backwards")
        values, images = np.empty(0), tuple[str, ...]()
        if len(used.valid()) == len(used):
            try:
                mean = used.mean_per_image()
            except Unpairable as error:
                raise UsageError(Fault("--score", f"{name} {budget}".strip(), f"cannot be ranked: {error}")) from None
            values, images = mean.values, image_ids(mean.images, run.record)
        yield Entry(name, budget, (run.name,), pairs, cost, flags(concerned, run.result.warned), values, images)


def _passes(scores: Scores, attacks: set[AttackKey], direction: str) -> float:
    """Return the mean passes per image of some attacks."""
    counted = [s.score.value for s in scores.select(f"{RECORD}.{direction}").valid() if attack_of(s) in attacks]
    return float(np.mean(counted)) if counted else math.nan


def _merged(entries: Sequence[Entry]) -> list[Entry]:
    """Merge entries that are equal in several runs; others of one label stay separate."""
    made: list[Entry] = []
    for entry in entries:
        place = next((place for place, other in enumerate(made) if _equal(entry, other)), None)
        if place is None:
            made.append(entry)
        else:
            made[place] = replace(made[place], runs=(*made[place].runs, *entry.runs))
    return made


def _equal(one: Entry, other: Entry) -> bool:
    return (
        not (one.void or other.void)
        and one.key == other.key
        and all(
            np.array_equal(score.per_image.values, other.pairs[pair].per_image.values)
            for pair, score in one.pairs.items()
        )
    )


def _different(entries: Sequence[Entry]) -> Iterator[Fault]:
    """Yield the entries that are not over the same images or pairs as the first of their budget."""
    for budget in dict.fromkeys(entry.budget for entry in entries):
        ranked = [entry for entry in entries if entry.budget == budget and not entry.void]
        for first, other in zip(ranked[:1] * len(ranked), ranked[1:], strict=False):
            where = " ".join(other.runs), f"{other.label} {budget}".strip()
            if other.pairs.keys() != first.pairs.keys():
                differ = [" to ".join(filter(None, key)) for key in sorted(other.pairs.keys() ^ first.pairs.keys())]
                message = f"is not over the same pairs as {first.label}: {', '.join(differ[:5])} (choose with --where)"
                yield Fault(*where, message)
            elif set(other.images) != set(first.images):
                sizes = f"{len(other.images)} against {len(first.images)}"
                common = len(set(other.images) & set(first.images))
                message = f"is of other images than {first.label}: {sizes}, {common} in common, so not ranked"
                yield Fault(*where, message)


def ranks(entries: Sequence[Entry], highest: bool) -> list[int]:
    """Rank entries over the same images: 1 + how many have a paired 95% interval of the difference above zero."""
    sign = 1 if highest else -1
    return [
        1 + sum(bootstrap(sign * (other.values - entry.values))[0] > 0 for other in entries if other is not entry)
        for entry in entries
    ]


def _sheet(
    entries: Sequence[Entry], runs: Sequence[Contribution], by: By, score: str, highest: bool, where: Mapping[str, str]
) -> Sheet:
    binary = all(score.per_image.binary for entry in entries if not entry.void for score in entry.pairs.values())
    kind: Literal["percent", "number"] = "percent" if binary else "number"
    columns = (
        Column("rank", "count"), Column(by), Column("budget"), Column(score, kind), Column("low", kind),
        Column("high", kind), Column("N", "count"), Column("pairs", "count"), Column("forwards", "number"),
        Column("backwards", "number"), Column("front"), Column("flags"), Column("run"),
    )  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for budget in dict.fromkeys(entry.budget for entry in entries):
        ranked = [entry for entry in entries if entry.budget == budget and not entry.void]
        on_front = front([(sum(entry.cost), entry.value) for entry in ranked], highest)
        cheapest = {id(ranked[place]) for place in on_front}
        placed = sorted(
            zip(ranks(ranked, highest), ranked, strict=True),
            key=lambda p: (p[0], -p[1].value if highest else p[1].value),
        )
        void = [(None, entry) for entry in entries if entry.budget == budget and entry.void]
        for rank, entry in (*placed, *void):
            low, high = bootstrap(entry.values)
            rows.append((
                rank, entry.label, budget, entry.value, low, high, len(entry.values), len(entry.pairs), *entry.cost,
                "yes" if id(entry) in cheapest else "", "; ".join(entry.flags), ", ".join(entry.runs),
            ))  # fmt: skip
    strong = frozenset(place for place, row in enumerate(rows) if row[0] == 1)
    chosen = [f"{name}={value}" for name, value in where.items()]
    notes = [
        f"the {'highest' if highest else 'lowest'} is the best; rank: 1 + how many are better with a paired 95% "
        "interval above zero, so that indistinguishable entries tie; each budget is ranked separately",
        f"mean over {' '.join(['black-box'] * ('relation' not in where) + ['pairs', *chosen])}; "
        "forwards and backwards: passes through the source for each image; front: no other entry of the same budget "
        "reaches as much with as few passes",
        *map(_provenance, runs),
    ]
    return Sheet(f"{runs[0].result.suite.title}: {by}s by {score}", columns, tuple(rows), tuple(notes), strong)


def _provenance(run: Contribution) -> str:
    record = run.record
    environment, versions = record.environment, record.versions
    limited = f", limited to {record.limit} images" if record.limit else ""
    return (
        f"{run.name}: images {record.images.digest[:12]}{limited}, code {record.host[:12]}, "
        f"bench {versions['adversarial-bench']}, torch {environment['torch']} on {environment['device']}"
    )
