"""Many runs -> one ranked table for each suite: ties by interval, cost, flags, and where every number comes from.

Only what can be compared is ranked: entries of the same images and budgets, over the same pairs of source and target.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError, did_you_mean, stop_at_faults
from ..gate.snapshot import default_gate, read_facts, run_folder
from ..registry import Registry
from ..reserved import RECORD
from ..result import Result, load_result
from ..scores.pareto import front
from ..scores.summarise import LabelledScore
from ..scores.warnings import flags
from ..statistics import bootstrap
from ..tables.sheet import Column, Sheet
from ..types import Json

By = Literal["attack", "source", "target"]
OF_THE_PAIR = ("source", "target", "attack")
RESTRICTIONS = ("sources", "attacks")


@dataclass(frozen=True)
class Contribution:
    """A run, and who gave it."""

    name: str
    result: Result
    facts: Json


@dataclass
class Entry:
    """One line: its value is, image by image, the mean over all pairs."""

    label: str
    budget: str
    runs: list[str]
    pairs: dict[tuple[str, ...], LabelledScore]
    cost: tuple[float, float]
    flags: tuple[str, ...]
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def void(self) -> bool:
        return any(each.void for each in self.pairs.values())

    @property
    def value(self) -> float:
        return float(self.values.mean()) if len(self.values) else math.nan


def find_runs(out: Path) -> list[str]:
    """Give the folders of all runs below a results folder."""
    return [str(path.parent) for path in sorted(out.glob("*/*/run.json"))]


def read_contributions(given: Sequence[str], registry: Registry | None = None, warn: bool = True) -> list[Contribution]:
    """Read runs given as FOLDER or NAME=FOLDER. Raises UsageError where one is none, or two have one name."""
    made = []
    for text in given:
        name, equals, folder = text.partition("=")
        path = run_folder(Path(folder if equals else text))
        made.append(Contribution(name if equals else str(path), load_result(path, registry, warn), read_facts(path)))
    names = [each.name for each in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    stop_at_faults([Fault(name, "", "is given twice") for name in twice])
    return made


def leaderboards(
    runs: Sequence[Contribution],
    by: By = "attack",
    score: str | None = None,
    best: Literal["max", "min"] | None = None,
    where: Mapping[str, str] | None = None,
) -> list[Sheet]:
    """Rank the runs of each suite. Raises UsageError, with all reasons, where what is asked for cannot be ranked."""
    groups: dict[tuple[str, str], list[Contribution]] = defaultdict(list)
    for each in runs:
        groups[each.result.suite.name, each.result.suite.profile].append(each)
    return [_of_suite(group, by, score, best, where or {}) for group in groups.values()]


def _of_suite(
    runs: Sequence[Contribution], by: By, score: str | None, best: str | None, where: Mapping[str, str]
) -> Sheet:
    suite = runs[0].result.suite
    gate = default_gate(suite)
    if score is None and not gate:
        raise UsageError(Fault(suite.file, "gate", "no score is gated: say which to rank by (--score)"))
    score = score or next(iter(gate))
    known = sorted({each.metric for run in runs for each in run.result.scores if not each.void})
    if score not in known:
        raise UsageError(Fault("--score", "", f'no score "{score}" in {suite.name} {did_you_mean(score, known)}'))
    if best is None and (by != "attack" or score not in gate):
        message = f"say which {by} is the best, that of the highest or of the lowest {score} (--best max or min)"
        raise UsageError(Fault("--best", "", message))
    highest = best == "max" if best else gate[score].better == "higher"
    stop_at_faults(list(_incomparable(runs)))
    entries = _merged([entry for run in runs for entry in _entries(run, by, score, where)])
    if not entries:
        raise UsageError(Fault("--where", "", f"leaves no {score} of {suite.name}"))
    stop_at_faults(list(_unlike(entries, suite.name)))
    for entry in entries:
        if not entry.void:
            entry.values = np.mean(np.stack([_values(each) for each in entry.pairs.values()]), axis=0)
    return _sheet(entries, runs, by, score, highest, where)


def _incomparable(runs: Sequence[Contribution]) -> Iterator[Fault]:
    """Say why runs of one suite cannot be ranked together."""
    first = runs[0]
    for other in runs[1:]:
        one, two = first.facts["images"], other.facts["images"]
        if one["digest"] != two["digest"]:
            common = len(set(one["ids"]) & set(two["ids"]))
            sizes = f"{len(two['ids'])} against {len(one['ids'])}, {common} in common"
            message = f"attacks other images than {first.name}: {sizes}"
            yield Fault(other.name, "images", message)
        for key, value in _threat(first).items():
            if value != _threat(other).get(key, value):
                message = f"found {_threat(other)[key]}, but {first.name} has {value}: another budget"
                yield Fault(other.name, key, message)


def _threat(run: Contribution) -> dict[str, Any]:
    suite = run.facts["suite"]
    budgets = {
        f"budgets.{name}": {key: value for key, value in budget.items() if key not in RESTRICTIONS}
        for name, budget in suite["budgets"].items()
    }
    return budgets | {key: suite[key] for key in ("loss", "random_start", "targeted", "quantise")}


def _entries(run: Contribution, by: By, score: str, where: Mapping[str, str]) -> Iterator[Entry]:
    """Give an entry for each label of `by` under each budget, over the black-box pairs unless others are asked for."""
    scores, label = run.result.scores, score.partition(".")[0]
    wanted = {"relation": "black-box", **where} if label != RECORD else where
    found: dict[tuple[str, str], dict[tuple[str, ...], LabelledScore]] = defaultdict(dict)
    for each in scores:
        named = each.metric == score or (each.void and each.metric == label)
        if named and all(str(each.labels.get(k, v)) == v for k, v in wanted.items()):
            other = tuple(str(each.labels.get(name, "")) for name in (*OF_THE_PAIR, "step") if name != by)
            found[str(each.labels.get(by, "")), str(each.labels.get("budget", ""))][other] = each
    for (name, budget), pairs in found.items():
        used = list(pairs.values())
        yield Entry(
            name, budget, [run.name], pairs, (_cost(scores, used, "forwards"), _cost(scores, used, "backwards")),
            flags([*used, *(each for each in scores if _same_attack(each, used))], run.result.warned),
        )  # fmt: skip


def _attack_of(each: LabelledScore) -> tuple[str, ...]:
    return tuple(str(each.labels.get(name, "")) for name in ("source", "attack", "budget"))


def _same_attack(each: LabelledScore, used: Iterable[LabelledScore]) -> bool:
    return "attack" in each.labels and _attack_of(each) in {_attack_of(other) for other in used}


def _cost(scores: Iterable[LabelledScore], used: Sequence[LabelledScore], what: str) -> float:
    own = [e.score.value for e in scores if e.metric == f"{RECORD}.{what}" and not e.void and _same_attack(e, used)]
    return float(np.mean(own)) if own else math.nan


def _values(each: LabelledScore) -> NDArray[np.float64]:
    if each.score.per_image is None:
        raise UsageError(Fault("--score", "", f"{each.metric} has no value for each image, and cannot be ranked"))
    return each.score.per_image


def _merged(entries: Sequence[Entry]) -> list[Entry]:
    """Make one entry of those that several runs have exactly alike; others of one label stay apart."""
    made: list[Entry] = []
    for entry in entries:
        twin = next((other for other in made if _alike(entry, other)), None)
        if twin:
            twin.runs += entry.runs
        else:
            made.append(entry)
    return made


def _alike(one: Entry, other: Entry) -> bool:
    return (
        (one.label, one.budget, one.cost, one.flags) == (other.label, other.budget, other.cost, other.flags)
        and one.pairs.keys() == other.pairs.keys()
        and not (one.void or other.void)
        and all(np.array_equal(_values(each), _values(other.pairs[key])) for key, each in one.pairs.items())
    )


def _unlike(entries: Sequence[Entry], suite: str) -> Iterator[Fault]:
    """Say which entries are not over the same pairs, or not of as many images, as the first of their budget."""
    for budget in dict.fromkeys(each.budget for each in entries):
        first, *others = [each for each in entries if each.budget == budget]
        sizes = {len(_values(e)) for each in (first, *others) for e in each.pairs.values() if not e.void}
        if len(sizes) > 1:
            yield Fault(suite, budget, f"its scores are of {sorted(sizes)} images: not the same ones, so not ranked")
        for other in others:
            if other.pairs.keys() != first.pairs.keys() and not (first.void or other.void):
                differ = [" to ".join(filter(None, key)) for key in sorted(other.pairs.keys() ^ first.pairs.keys())]
                message = f"is not over the same pairs as {first.label}: {', '.join(differ[:5])} (choose with --where)"
                yield Fault(" ".join(other.runs), f"{other.label} {budget}".strip(), message)


def ranks(entries: Sequence[Entry], highest: bool) -> list[int]:
    """Rank by how many are better, their paired 95% interval of the difference being above zero: the others tie."""
    sign = 1 if highest else -1
    return [
        1 + sum(bootstrap(sign * (other.values - each.values))[0] > 0 for other in entries if other is not each)
        for each in entries
    ]


def _sheet(
    entries: Sequence[Entry], runs: Sequence[Contribution], by: By, score: str, highest: bool, where: Mapping[str, str]
) -> Sheet:
    binary = all(
        np.isin(_values(each), (0, 1)).all() for e in entries if not e.void for each in e.pairs.values()
    )  # fmt: skip
    kind: Literal["percent", "number"] = "percent" if binary else "number"
    columns = (
        Column("rank", "count"), Column(by), Column("budget"), Column(score, kind), Column("low", kind),
        Column("high", kind), Column("N", "count"), Column("pairs", "count"), Column("forwards", "number"),
        Column("backwards", "number"), Column("front"), Column("flags"), Column("run"),
    )  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for budget in dict.fromkeys(each.budget for each in entries):
        ranked = [each for each in entries if each.budget == budget and not each.void]
        cheapest = [ranked[i] for i in front([(sum(each.cost), each.value) for each in ranked], highest)]
        placed = sorted(
            zip(ranks(ranked, highest), ranked, strict=True),
            key=lambda p: (p[0], -p[1].value if highest else p[1].value),
        )
        void = [(None, each) for each in entries if each.budget == budget and each.void]
        for rank, each in (*placed, *void):
            low, high = bootstrap(each.values)
            rows.append((
                rank, each.label, budget, each.value, low, high, len(each.values), len(each.pairs), *each.cost,
                "yes" if any(each is other for other in cheapest) else "", "; ".join(each.flags), ", ".join(each.runs),
            ))  # fmt: skip
    suite = runs[0].result.suite
    strong = frozenset(place for place, row in enumerate(rows) if row[0] == 1)
    chosen = [f"{name}={value}" for name, value in where.items()]
    notes = [
        f"the {'highest' if highest else 'lowest'} is the best; rank: 1 + how many are better with a paired 95% "
        "interval above zero, so that what cannot be told apart ties; budgets are ranked each for itself",
        f"mean over {' '.join(['black-box'] * ('relation' not in where) + ['pairs', *chosen])}; "
        "forwards and backwards: passes through the source for each image; front: none of the same budget reaches as "
        "much with as few passes",
        *map(_provenance, runs),
    ]
    return Sheet(f"{suite.title}: {by}s by {score}", columns, tuple(rows), tuple(notes), strong)


def _provenance(run: Contribution) -> str:
    facts = run.facts
    environment, versions = facts["environment"], facts["versions"]
    limited = f", limited to {facts['limit']} images" if facts.get("limit") else ""
    return (
        f"{run.name}: images {facts['images']['digest'][:12]}{limited}, code {facts['host'][:12]}, "
        f"bench {versions['adversarial-bench']}, torch {environment['torch']} on {environment['device']}"
    )
