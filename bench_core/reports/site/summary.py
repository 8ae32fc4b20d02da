"""What the pages over several runs need of each run. It is kept as JSON, so that a run is read only once."""

from __future__ import annotations

import base64
import json
import math
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
from ...scores.warnings import flags
from ...statistics import bootstrap
from ...suite.model import Suite
from ..leaderboard import Ranking, entries_of, find_ranking, threat_of
from ..page.page import eps_text, steps_text
from ..ranking import Contribution, Entry

MOST_PAIRS = 400  # pairs of source and target with a ranking each; beyond, only whole sources and targets have one


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


class AttackFacts(_Part):
    """An attack in a suite: what it is made of, its options as text, and its category."""

    made_of: str
    options: str
    category: str = ""


class Summary(_Part):
    """A run.

    Attributes:
        comparable: A digest of the images and the threat: runs with an equal one can be ranked together.
        not_ranked: Why it has no leaderboard.
        percent: Whether the score is a share.
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
    networks: dict[str, str]
    code: str
    versions: dict[str, str | None]
    device: str
    reproduce: str
    score: str = ""
    highest: bool = True
    percent: bool = True
    only: tuple[str, ...] = ()
    not_ranked: str = ""
    entries: tuple[ScopedEntry, ...] = ()

    @property
    def group(self) -> tuple[str, str]:
        return self.suite, self.profile


def summarise_run(result: Result, record: RunRecord) -> Summary:
    """Summarise a run."""
    suite, contribution = record.suite, Contribution("", result, record)
    try:
        ranking = find_ranking([contribution], "attack")
        (entries, percent), reason = _scoped(contribution, ranking), ""
    except UsageError as error:
        ranking, entries, percent, reason = Ranking("", True, ()), [], True, error.faults[0].message
    pairs = [*suite.members_by_source], suite.targets
    return Summary(
        suite=suite.name, profile=suite.profile, title=suite.title, images=len(record.images.ids),
        dataset=record.dataset.count, digest_of_images=record.images.digest,
        comparable=digest([record.images.digest, threat_of(record), ranking.score, list(ranking.only), pairs]),
        complete=result.complete, flags=flags(result.scores, result.warned),
        budgets={name: (b.norm, f"eps {eps_text(b.eps)}, {steps_text(b)}") for name, b in suite.budgets.items()},
        attacks=_attacks(suite), sources=tuple(suite.members_by_source), targets=tuple(suite.targets),
        networks={name: _identity(entry) for name, entry in record.models.items()},
        code=record.host, versions=record.versions, device=str(record.environment.get("device")),
        reproduce=record.reproduce, score=ranking.score, highest=ranking.highest, only=ranking.only,
        percent=percent,
        not_ranked=reason, entries=tuple(entries),
    )  # fmt: skip


def _attacks(suite: Suite) -> dict[str, AttackFacts]:
    return {
        label: AttackFacts(
            made_of="+".join(attack.parts or [attack.recipe or ""]),
            options=", ".join(f"{name} = {json.dumps(value)}" for name, value in sorted(attack.options.items())),
            category=attack.category or "",
        )
        for label, attack in suite.attacks.items()
    }


def _identity(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('recipe')}, {digest(entry.get('identity'))[:12]}"


def _scoped(run: Contribution, ranking: Ranking) -> tuple[list[ScopedEntry], bool]:
    """Return the entries over all pairs, and those of each source, each target, and each pair if they are few.

    Returns also whether all values are shares of images.
    """
    suite = run.record.suite
    sources, targets = [*suite.members_by_source], list(suite.targets)
    scopes = [("", "")]
    scopes += [(source, "") for source in sources if len(sources) > 1]
    scopes += [("", target) for target in targets if len(targets) > 1]
    if len(sources) * len(targets) * len(suite.attacks) <= MOST_PAIRS:
        scopes += [(s, t) for s in sources for t in targets if len(sources) > 1 and len(targets) > 1]
    found, percent = list[ScopedEntry](), True
    for source, target in scopes:
        where = {name: label for name, label in (("source", source), ("target", target)) if label}
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
