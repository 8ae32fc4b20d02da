"""Ranks the runs of a suite, budget by budget, and follows each attack over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from ...scores.pareto import front
from ..ranking import ranks
from .found import FoundRun
from .places import board_page, run_place
from .summary import EVERYTHING, Entries, Scope, ScopedEntry, Summary, unpack_values


@dataclass(frozen=True)
class SummarisedRun:
    """A run's folder and its summary. `read_entries` returns its scores."""

    found: FoundRun
    summary: Summary
    read_entries: Callable[[], Entries]

    @cached_property
    def place(self) -> str:
        return run_place(*self.summary.group, self.found.digest)


class Row(BaseModel):
    """A line of a leaderboard. `run` is the place of the run's page; `tied` whether others share the rank."""

    model_config = ConfigDict(frozen=True)

    rank: int | None
    tied: bool
    attack: str
    category: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    pairs: int
    forwards: float | None
    backwards: float | None
    front: bool
    flags: tuple[str, ...]
    run: str
    when: str


class Point(BaseModel):
    """A score in one run. `comparable` is whether it can be ranked with the newest run: same images and threat."""

    model_config = ConfigDict(frozen=True)

    run: str
    when: str
    value: float | None
    low: float | None
    high: float | None
    comparable: bool


class Board(BaseModel):
    """The leaderboard of a suite under one budget, over all pairs and by source and target.

    Attributes:
        unordered: Why its values have no ranks; empty if they have.
        relation: Whether it is over black-box or white-box pairs.
    """

    model_config = ConfigDict(frozen=True)

    suite: str
    profile: str
    title: str
    budget: str
    norm: str
    description: str
    score: str
    percent: bool
    highest: bool
    unordered: str
    relation: str
    only: tuple[str, ...]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    images: int
    runs: tuple[str, ...]
    scopes: tuple[tuple[Scope, tuple[Row, ...]], ...]
    history: dict[str, tuple[Point, ...]]

    @property
    def page(self) -> str:
        return board_page(self.suite, self.profile, self.budget)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows over all pairs."""
        return dict(self.scopes)[EVERYTHING]


class Boards(BaseModel):
    """All leaderboards of a suite."""

    boards: tuple[Board, ...]


def make_boards(runs: Sequence[SummarisedRun]) -> Boards:
    """Rank the runs of one suite and profile, oldest first.

    Runs on other images or under another threat model than the newest cannot be ranked with it. They are only in the
    history. If several runs have results of an attack, the newest is ranked.
    """
    newest = runs[-1].summary
    ranked = [run for run in runs if run.summary.comparable == newest.comparable]
    latest = _latest(ranked)
    found = []
    for budget in dict.fromkeys(budget for budget, _, _ in latest):
        scopes = dict.fromkeys(scope for of, scope, _ in latest if of == budget)
        tables = tuple(
            (scope, _rows([pair for key, pair in latest.items() if key[:2] == (budget, scope)], newest))
            for scope in scopes
        )
        if EVERYTHING in scopes:
            norm, description = newest.budgets.get(budget, ("", ""))
            found.append(Board(
                suite=newest.suite, profile=newest.profile, title=newest.title, budget=budget, norm=norm,
                description=description, score=newest.score, percent=newest.percent, highest=newest.highest,
                unordered=newest.unordered, relation=newest.relation, only=newest.only,
                sources=newest.sources, targets=newest.targets, images=newest.images,
                runs=tuple(run.place for run in ranked), scopes=tables, history=_history(runs, budget, newest),
            ))  # fmt: skip
    return Boards(boards=tuple(found))


def _latest(ranked: Sequence[SummarisedRun]) -> dict[tuple[str, Scope, str], tuple[SummarisedRun, ScopedEntry]]:
    """Return the newest score of each attack by budget and scope, in the order of the newest run.

    Only the runs that have one are read. Runs that can be ranked together have the same scopes.
    """
    latest: dict[tuple[str, Scope, str], tuple[SummarisedRun, ScopedEntry]] = {}
    covered: set[tuple[str, str]] = set()
    for run in reversed(ranked):
        here = {(entry.budget, entry.attack) for entry in run.summary.overall} - covered
        covered |= here
        for entry in run.read_entries().entries if here else ():
            if (entry.budget, entry.attack) in here:
                latest[entry.budget, (entry.source, entry.target), entry.attack] = run, entry
    return latest


def _rows(pairs: Sequence[tuple[SummarisedRun, ScopedEntry]], newest: Summary) -> tuple[Row, ...]:
    """Return the rows of one scope: ranked, or in the order of the suite if it does not say which value is best."""
    if not newest.unordered:
        return _rank(pairs, newest.highest)
    lengths = [len(unpack_values(entry.values)) for _, entry in pairs]
    return tuple(_row(run, entry, None, False, False, n) for (run, entry), n in zip(pairs, lengths, strict=True))


def _rank(pairs: Sequence[tuple[SummarisedRun, ScopedEntry]], highest: bool) -> tuple[Row, ...]:
    """Return the rows of one scope, best first; void ones last."""
    valid = [(run, entry, entry.entry(run.place)) for run, entry in pairs if entry.values]
    lengths = {len(ranked.values) for _, _, ranked in valid}
    place: list[int | None] = [None] * len(valid)
    if len(lengths) == 1:
        place = [*ranks([ranked for _, _, ranked in valid], highest)]
    on_front = set(front([(sum(ranked.cost), ranked.value) for _, _, ranked in valid], highest))
    rows = [
        _row(run, entry, rank, place.count(rank) > 1, index in on_front, len(ranked.values))
        for index, ((run, entry, ranked), rank) in enumerate(zip(valid, place, strict=True))
    ]
    sign = -1 if highest else 1
    rows.sort(key=lambda row: (row.rank or 0, sign * (row.value or 0.0), row.attack))
    return (*rows, *(_row(run, entry, None, False, False, 0) for run, entry in pairs if not entry.values))


def _row(run: SummarisedRun, entry: ScopedEntry, rank: int | None, tied: bool, on_front: bool, n: int) -> Row:
    facts = run.summary.attacks.get(entry.attack)
    return Row(
        rank=rank, tied=tied, attack=entry.attack, category=facts.category if facts else "", value=entry.value,
        low=entry.low, high=entry.high, n=n, pairs=entry.pairs, forwards=entry.forwards, backwards=entry.backwards,
        front=on_front, flags=entry.flags, run=run.place, when=run.found.when,
    )  # fmt: skip


def _history(runs: Sequence[SummarisedRun], budget: str, newest: Summary) -> dict[str, tuple[Point, ...]]:
    """Return the scores of each attack over all pairs in all runs, oldest first, where there are several."""
    points: dict[str, list[Point]] = {}
    for run in runs:
        if run.summary.score != newest.score:
            continue
        for entry in run.summary.overall:
            if entry.budget == budget:
                points.setdefault(entry.attack, []).append(Point(
                    run=run.place, when=run.found.when, value=entry.value, low=entry.low, high=entry.high,
                    comparable=run.summary.comparable == newest.comparable,
                ))  # fmt: skip
    return {attack: tuple(series) for attack, series in points.items() if len(series) > 1}
