"""What the pages over several runs need of each run. It is cached as JSON, so that a run is read only once."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ...digests import digest
from ...errors import UsageError
from ...result import Result
from ...runs.record import RunRecord
from ...scores.labels import Relation
from ...scores.warnings import flags
from ...statistics import bootstrap
from ...suite.model import Suite
from ..leaderboard import Ranking, SeveralValues, entries_of, find_ranking, threat_of
from ..page.page import eps_text, steps_text
from ..ranking import Contribution, Entry

Scope = tuple[str, str]  # source and target, "" for all
EVERYTHING: Scope = ("", "")
MOST_PAIRS = 400  # scores of pairs; above this, only sources and targets have rankings, not each pair


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScopedEntry(_Part):
    """An attack's score under one budget, over all pairs or those of one source, one target or both ("" for all)."""

    source: str
    target: str
    attack: str
    budget: str
    pairs: int
    forwards: float | None
    backwards: float | None
    flags: tuple[str, ...]
    value: float | None
    low: float | None
    high: float | None
    values: str

    def entry(self, run: str) -> Entry:
        """Return the entry as leaderboards rank it. Its pairs are not kept."""
        cost = (_nan(self.forwards), _nan(self.backwards))
        return Entry(self.attack, self.budget, (run,), {}, cost, self.flags, unpack_values(self.values))


class Entries(_Part):
    """All scores of a run that leaderboards need. There are many, so they are in a separate file, read when needed."""

    entries: tuple[ScopedEntry, ...] = ()


class Overall(_Part):
    """An attack's score under one budget over all pairs."""

    attack: str
    budget: str
    value: float | None
    low: float | None
    high: float | None


class AttackFacts(_Part):
    """An attack in a suite: what it is made of, its options as text, and its category."""

    made_of: str
    options: str
    category: str = ""


class Network(_Part):
    """A network in a run: the recipe that builds it, and what identifies its weights and options, as JSON."""

    recipe: str
    identity: str

    @property
    def short(self) -> str:
        return digest(json.loads(self.identity))[:12]


class Summary(_Part):
    """A run.

    Attributes:
        comparable: A digest of the images and the threat: runs with an equal one can be ranked together.
        score: The score of its leaderboards.
        highest: Whether the highest value is the best.
        relation: Whether the score is over black-box or white-box pairs.
        percent: Whether the score is a share.
        unordered: Why its values have no ranks.
        no_board: Why it has no leaderboard at all.
    """

    suite: str
    profile: str
    title: str
    images: int
    dataset: int
    digest_of_images: str
    comparable: str
    complete: bool
    flags: tuple[str, ...]
    budgets: dict[str, tuple[str, str]]  # label -> norm, description
    attacks: dict[str, AttackFacts]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    networks: dict[str, Network]
    code: str
    versions: dict[str, str | None]
    device: str
    reproduce: str
    score: str = ""
    highest: bool = True
    percent: bool = True
    only: tuple[str, ...] = ()
    relation: str = ""
    unordered: str = ""
    no_board: str = ""
    overall: tuple[Overall, ...] = ()

    @property
    def group(self) -> tuple[str, str]:
        return self.suite, self.profile


def summarise_run(result: Result, record: RunRecord) -> tuple[Summary, Entries]:
    """Summarise a run, and return its scores."""
    suite, contribution = record.suite, Contribution("", result, record)
    ranking, relation, unordered, no_board = Ranking("", True, ()), "", "", ""
    entries, percent = list[ScopedEntry](), True
    try:
        ranking, unordered = _ranking(contribution)
        relation = _relation(result, ranking.score)
        entries, percent = _scoped(contribution, ranking, relation)
    except SeveralValues as error:
        each = " and ".join(error.labels)
        no_board = f"{ranking.score} has a value for each {each}, and the suite does not say which one ranks attacks"
    except UsageError as error:
        no_board = without_hint(error.faults[0].message)
    pairs = [*suite.members_by_source], suite.targets
    overall = [entry for entry in entries if (entry.source, entry.target) == EVERYTHING]
    summary = Summary(
        suite=suite.name, profile=suite.profile, title=suite.title, images=len(record.images.ids),
        dataset=record.dataset.count, digest_of_images=record.images.digest,
        comparable=digest([record.images.digest, threat_of(record), ranking.score, list(ranking.only), pairs]),
        complete=result.complete, flags=flags(result.scores, result.warned),
        budgets={name: (b.norm, f"eps {eps_text(b.eps)}, {steps_text(b)}") for name, b in suite.budgets.items()},
        attacks=_attacks(suite), sources=tuple(suite.members_by_source), targets=tuple(suite.targets),
        networks={name: _network(entry) for name, entry in record.models.items()},
        code=record.host, versions=record.versions, device=str(record.environment.get("device")),
        reproduce=record.reproduce, score=ranking.score, highest=ranking.highest, only=ranking.only,
        percent=percent, relation=relation, unordered=unordered, no_board=no_board,
        overall=tuple(
            Overall(attack=e.attack, budget=e.budget, value=e.value, low=e.low, high=e.high) for e in overall
        ),
    )  # fmt: skip
    return summary, Entries(entries=tuple(entries))


def _ranking(run: Contribution) -> tuple[Ranking, str]:
    """Return what a run's attacks are ranked by, and why they are not: because the suite does not say what is best."""
    try:
        return find_ranking([run], "attack"), ""
    except UsageError as error:
        return find_ranking([run], "attack", best="max"), without_hint(error.faults[0].message)


def _relation(result: Result, score: str) -> str:
    """Return which pairs a score is averaged over: the black-box ones, or the white-box ones if there are no others."""
    relations = {scored.labels.get("relation") for scored in result.scores.select(score)}
    only_white = Relation.WHITE_BOX in relations and Relation.BLACK_BOX not in relations
    return str(Relation.WHITE_BOX if only_white else Relation.BLACK_BOX)


def without_hint(message: str) -> str:
    """Return a message without the hint at its end, which is for a command line."""
    return re.sub(r" \((try|choose) [^()]*\)$", "", message)


def _attacks(suite: Suite) -> dict[str, AttackFacts]:
    return {
        label: AttackFacts(
            made_of="+".join(attack.parts or [attack.recipe or ""]),
            options=", ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(attack.options.items())),
            category=attack.category or "",
        )
        for label, attack in suite.attacks.items()
    }


def _network(entry: Mapping[str, Any]) -> Network:
    return Network(recipe=str(entry.get("recipe")), identity=json.dumps(entry.get("identity"), ensure_ascii=False))


def _scoped(run: Contribution, ranking: Ranking, relation: str) -> tuple[list[ScopedEntry], bool]:
    """Return the entries over all pairs, and those of each source, each target, and each pair if they are few.

    In a white-box pair, the source is the target.

    Returns also whether all values are shares of images.
    """
    suite = run.record.suite
    sources, targets = [*suite.members_by_source], list(suite.targets) if relation == Relation.BLACK_BOX else []
    scopes = [EVERYTHING]
    scopes += [(source, "") for source in sources if len(sources) > 1]
    scopes += [("", target) for target in targets if len(targets) > 1]
    if len(sources) * len(targets) * len(suite.attacks) <= MOST_PAIRS:
        scopes += [(s, t) for s in sources for t in targets if len(sources) > 1 and len(targets) > 1]
    found, percent = list[ScopedEntry](), True
    for source, target in scopes:
        named = (("relation", relation), ("source", source), ("target", target))
        where = {name: label for name, label in named if label}
        for entry in entries_of(run, "attack", ranking.score, where, ranking.only):
            forwards, backwards = map(_none, entry.cost)
            low, high = bootstrap(entry.values)
            percent &= all(score.per_image.binary for score in entry.pairs.values() if not entry.void)
            found.append(ScopedEntry(
                source=source, target=target, attack=entry.label, budget=entry.budget, pairs=len(entry.pairs),
                forwards=forwards, backwards=backwards, flags=entry.flags, value=_none(entry.value),
                low=_none(low), high=_none(high), values="" if entry.void else pack_values(entry.values),
            ))  # fmt: skip
    return found, percent


def pack_values(values: NDArray[np.float64]) -> str:
    """Return values as text, exactly."""
    return base64.b64encode(zlib.compress(values.astype("<f8").tobytes(), 9)).decode()


def unpack_values(text: str) -> NDArray[np.float64]:
    """Return the values that `pack_values` packed; none for an empty text."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)) if text else b"", dtype="<f8")


def _none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
