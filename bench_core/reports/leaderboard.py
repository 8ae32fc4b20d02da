"""Many runs -> one ranked table for each suite, with ties by interval, cost, flags, and the origin of every number.

Only comparable entries are ranked: of the same images and budgets, over the same pairs of source and target.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import Fault, UsageError, did_you_mean, stop_at_faults
from ..gate.snapshot import gate_of, image_ids
from ..registry import Registry
from ..reserved import RECORD
from ..runs.folder import run_folder
from ..runs.load import load_result
from ..runs.record import read_record
from ..scores.images import Unpairable
from ..scores.labels import Relation
from ..scores.pareto import AttackKey, attack_of
from ..scores.scored import LabelledScore, Scores
from ..scores.warnings import flags
from ..tables.sheet import Sheet
from .ranking import By, Contribution, Entry, leaderboard_sheet

OF_THE_PAIR = ("source", "target", "attack")
RESTRICTIONS = ("sources", "attacks")


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
    gate = gate_of(suite)
    known = sorted({other.metric for run in runs for other in run.result.scores.valid()})
    if score is None and not gate:
        raise UsageError(
            Fault(suite.file, "gate", f"no score is gated; choose one with --score (known: {', '.join(known)})")
        )
    score = score or next(iter(gate))
    if score not in known:
        raise UsageError(Fault("--score", "", f'no score "{score}" in {suite.name} {did_you_mean(score, known)}'))
    if best is None and (by != "attack" or score not in gate):
        message = f"choose whether the {by} with the highest or the lowest {score} is the best (--best max or min)"
        raise UsageError(Fault("--best", "", message))
    highest = best == "max" if best is not None else gate[score].better == "higher"
    labels = {name for run in runs for other in run.result.scores.select(score) for name in other.labels}
    stop_at_faults([
        Fault("--where", name, f"no {score} of {suite.name} has this label {did_you_mean(name, labels)}")
        for name in where
        if name not in labels
    ])  # fmt: skip
    stop_at_faults(list(_incomparable(runs)))
    entries = _merged([entry for run in runs for entry in _entries(run, by, score, where)])
    if not entries:
        raise UsageError(Fault("--where", "", f"leaves no {score} of {suite.name}"))
    stop_at_faults(list(_different(entries)))
    return leaderboard_sheet(entries, runs, by, score, highest, where)


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
