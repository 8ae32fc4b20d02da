"""Many runs -> one ranked table for each suite, with ties by interval, cost, flags, and the origin of every number.

Only comparable entries are ranked: over the same images, budgets, and pairs of source and target.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..errors import Fault, UsageError, did_you_mean, stop_at_faults
from ..gate.snapshot import gate_of, image_ids
from ..registry import Registry
from ..reserved import RECORD
from ..runs.folder import named_folder, run_folder
from ..runs.load import load_result
from ..runs.record import RunRecord, read_record
from ..scores.images import Unpairable
from ..scores.labels import Relation
from ..scores.pareto import AttackKey, attack_of, attacks_behind
from ..scores.scored import LabelledScore, Scores
from ..scores.warnings import flags
from ..suite.model import Suite
from ..tables.sheet import Sheet
from .ranking import By, Contribution, Entry, leaderboard_sheet

PAIR_LABELS = ("source", "target", "attack")
ALL_IMAGES = "(try --score {}, which counts all images)"
RESTRICTIONS = ("sources", "attacks")  # keys of a budget that select where it applies, and are no part of the threat


def read_contributions(given: Sequence[str], registry: Registry | None = None, warn: bool = True) -> list[Contribution]:
    """Read the runs that a command line names.

    Args:
        given: The runs, each as FOLDER or NAME=FOLDER.
        registry: The installed plugins; they are discovered by default.
        warn: Whether to compute the warnings about the scores.

    Raises:
        UsageError: A folder is not a run's, or two runs have the same name.
    """
    runs = []
    for text in given:
        name, folder = named_folder(text)
        path = run_folder(folder)
        runs.append(Contribution(name or str(path), load_result(path, registry, warn), read_record(path)))
    duplicates = sorted(name for name, count in Counter(run.name for run in runs).items() if count > 1)
    stop_at_faults([Fault(name, "", "is given twice") for name in duplicates])
    return runs


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
        score: The score to rank by, over all images. By default that of the suite's first table, over the images that
            the table counts, or else the first of its gate.
        best: Whether the highest or the lowest value is the best; for attacks, by default as in the suite's gate or
            tables.
        where: The labels that scores must have. Only black-box pairs count unless it has a `relation`.

    Returns:
        A sheet for each suite and profile.

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
    ranking = find_ranking(runs, by, score, best)
    score, only = ranking.score, ranking.only
    labels = {name for run in runs for scored in run.result.scores.select(score) for name in scored.labels}
    stop_at_faults([
        Fault("--where", name, f"no {score} of {suite.name} has this label {did_you_mean(name, labels)}")
        for name in where
        if name not in labels
    ])  # fmt: skip
    stop_at_faults(list(_incomparable(runs)))
    entries = _merged([entry for run in runs for entry in entries_of(run, by, score, where, only)])
    if not entries:
        raise UsageError(Fault("--where", "", f"leaves no {score} of {suite.name}"))
    stop_at_faults(list(_different_scope(entries, f" {ALL_IMAGES.format(score)}" if only else "")))
    return leaderboard_sheet(entries, runs, by, score, ranking.highest, where, only)


class SeveralValues(UsageError):
    """A score has several values for one pair of networks, which differ in `labels`, such as the order."""

    def __init__(self, score: str, labels: Sequence[str]) -> None:
        self.labels = labels
        message = f"{score} has several values for one pair; they differ in {', '.join(labels)} (choose with --where)"
        super().__init__(Fault("--score", "", message))


@dataclass(frozen=True)
class Ranking:
    """What a leaderboard ranks by: a score, whether the highest is best, and the outcomes that an image must have."""

    score: str
    highest: bool
    only: tuple[str, ...]


def find_ranking(runs: Sequence[Contribution], by: By, score: str | None = None, best: str | None = None) -> Ranking:
    """Return what runs of one suite are ranked by; for the arguments see `leaderboards`.

    Raises:
        UsageError: The suite does not say, or the score is unknown.
    """
    suite = runs[0].result.suite
    known = sorted({scored.metric for run in runs for scored in run.result.scores.valid()})
    only: tuple[str, ...] = ()
    if score is None:
        labelled = {scored.metric for run in runs for scored in run.result.scores.valid() if by in scored.labels}
        score = _main_score(suite, sorted(labelled))
        only, other = _only_of(suite, score), "the first table counts other images than"
        stop_at_faults(
            [
                Fault(run.name, "tables", f"{other} that of {runs[0].name} {ALL_IMAGES.format(score)}")
                for run in runs
                if _only_of(run.result.suite, score) != only
            ]
        )
    elif score not in known:
        raise UsageError(Fault("--score", "", f'no score "{score}" in {suite.name} {did_you_mean(score, known)}'))
    return Ranking(score, (best or _best(suite, by, score)) == "max", only)


def _main_score(suite: Suite, known: Sequence[str]) -> str:
    """Return the score of the suite's main table, or else the first that is gated, of those that are known.

    Raises UsageError if there is none.
    """
    candidates = [*(table.value for table in suite.tables[:1]), *gate_of(suite)]
    score = next((name for name in candidates if name in known), None)
    if score is None:
        message = f"neither the first table nor the gate has a score that can be ranked (try one of {', '.join(known)})"
        raise UsageError(Fault("--score", "", message))
    return score


def _only_of(suite: Suite, score: str) -> tuple[str, ...]:
    """Return the outcomes that an image must have to count in the suite's main table, if that shows the score."""
    return tuple(suite.tables[0].only) if suite.tables and suite.tables[0].value == score else ()


def _best(suite: Suite, by: By, score: str) -> str:
    """Return whether the highest ("max") or the lowest value is best, by the suite's gate or else by its tables.

    They state it for attacks. Whether a target is better if attacks on it succeed is for the user to say.
    """
    stated = {table.value: table.best for table in reversed(suite.tables) if table.best}
    stated |= {name: "max" if entry.better == "higher" else "min" for name, entry in gate_of(suite).items()}
    if by == "attack" and score in stated:
        return stated[score]
    hint = "(try --best max or --best min)"
    if by != "attack":
        message = f"choose whether the {by} with the highest or the lowest {score} is the best {hint}"
    else:
        message = f"no table and no gate of {suite.name} states whether a high or a low {score} is best {hint}"
    raise UsageError(Fault("--best", "", message))


def _incomparable(runs: Sequence[Contribution]) -> Iterator[Fault]:
    """Yield the reasons why runs of one suite cannot be ranked together."""
    first = runs[0]
    for other in runs[1:]:
        expected, found = first.record.images, other.record.images
        if found.digest != expected.digest:
            common = len(set(expected.ids) & set(found.ids))
            sizes = f"{len(found.ids)} against {len(expected.ids)}, {common} in common"
            yield Fault(other.name, "images", f"attacks other images than {first.name}: {sizes}")
        for key, value in threat_of(first.record).items():
            if value != threat_of(other.record).get(key, value):
                message = f"found {threat_of(other.record)[key]}, but {first.name} has {value}: another budget"
                yield Fault(other.name, key, message)


def threat_of(record: RunRecord) -> dict[str, Any]:
    """Return what defines the threat, by dotted key."""
    suite = record.suite.model_dump(mode="json")
    budgets = {
        f"budgets.{name}": {key: value for key, value in budget.items() if key not in RESTRICTIONS}
        for name, budget in suite["budgets"].items()
    }
    return budgets | {key: suite[key] for key in ("loss", "random_start", "targeted", "quantise")}


def entries_of(
    run: Contribution, by: By, score: str, where: Mapping[str, str], only: tuple[str, ...]
) -> Iterator[Entry]:
    """Yield an entry for each label of `by` under each budget. Raises UsageError if its scores cannot be averaged."""
    scores = run.result.scores
    ranked = run.result.restricted[only] if only else scores
    wanted = dict(where) if score.partition(".")[0] == RECORD else {"relation": str(Relation.BLACK_BOX), **where}
    groups: dict[tuple[str, str], dict[tuple[str, ...], LabelledScore]] = defaultdict(dict)
    differ = set[str]()
    for candidate in ranked.select(score):
        labels = candidate.labels
        if all(str(labels.get(name, value)) == value for name, value in wanted.items()):
            pair = tuple(str(labels.get(name, "")) for name in (*PAIR_LABELS, "step") if name != by)
            first = groups[str(labels.get(by, "")), labels.budget or ""].setdefault(pair, candidate)
            differ |= {name for name in labels if first.labels.get(name) != labels[name]}
    if differ:
        raise SeveralValues(score, sorted(differ))
    for (name, budget), pairs in groups.items():
        used = Scores(pairs.values())
        attacks = set(attacks_behind(used, run.record.suite.budgets))
        flagged = [*used, *(scored for scored in scores if scored.labels.attack and attack_of(scored) in attacks)]
        cost = _passes(scores, attacks, "forwards"), _passes(scores, attacks, "backwards")
        values, images = np.empty(0), tuple[str, ...]()
        if len(used.valid()) == len(used):
            try:
                mean = used.mean_per_image()
            except Unpairable as error:
                raise UsageError(Fault("--score", f"{name} {budget}".strip(), f"cannot be ranked: {error}")) from None
            values, images = mean.values, image_ids(mean.images, run.record)
        yield Entry(name, budget, (run.name,), pairs, cost, flags(flagged, run.result.warned), values, images)


def _passes(scores: Scores, attacks: set[AttackKey], direction: str) -> float:
    """Return the mean number of passes per image of some attacks, NaN if it is unknown."""
    recorded = scores.select(f"{RECORD}.{direction}").valid()
    passes = [scored.score.value for scored in recorded if attack_of(scored) in attacks]
    return float(np.mean(passes)) if passes else math.nan


def _merged(entries: Sequence[Entry]) -> list[Entry]:
    """Merge entries with equal results in several runs. Entries of one label with different results stay separate."""
    merged: list[Entry] = []
    for entry in entries:
        index = next((index for index, other in enumerate(merged) if _equal(entry, other)), None)
        if index is None:
            merged.append(entry)
        else:
            merged[index] = replace(merged[index], runs=(*merged[index].runs, *entry.runs))
    return merged


def _equal(a: Entry, b: Entry) -> bool:
    return (
        not (a.void or b.void)
        and a.key == b.key
        and all(
            np.array_equal(score.per_image.values, b.pairs[pair].per_image.values) for pair, score in a.pairs.items()
        )
    )


def _different_scope(entries: Sequence[Entry], hint: str) -> Iterator[Fault]:
    """Yield the entries that are not over the same images and pairs as the first entry of their budget."""
    for budget in dict.fromkeys(entry.budget for entry in entries):
        ranked = [entry for entry in entries if entry.budget == budget and not entry.void]
        for other in ranked[1:]:
            first, where = ranked[0], (" ".join(other.runs), f"{other.label} {budget}".strip())
            if other.pairs.keys() != first.pairs.keys():
                differ = [" to ".join(filter(None, key)) for key in sorted(other.pairs.keys() ^ first.pairs.keys())]
                message = f"is not over the same pairs as {first.label}: {', '.join(differ[:5])} (choose with --where)"
                yield Fault(*where, message)
            elif set(other.images) != set(first.images):
                sizes = f"{len(other.images)} against {len(first.images)}"
                common = len(set(other.images) & set(first.images))
                message = f"is measured on other images than {first.label}: {sizes}, {common} in common{hint}"
                yield Fault(*where, message)
