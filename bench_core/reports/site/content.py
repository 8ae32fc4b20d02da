"""The content of pages over several runs, and helpers that they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...tables.formats.html import Field
from .boards import Board, Row, SummarisedRun
from .chart import Chart, history_chart
from .places import Link, SiteLinks, attack_page
from .views import Section, text_field

Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class Site:
    """All that the pages are made from. Runs are oldest first."""

    title: str
    runs: Sequence[SummarisedRun]
    boards: Sequence[Board]

    @cached_property
    def runs_by_attack(self) -> dict[str, list[SummarisedRun]]:
        return _by_name((name, run) for run in self.runs for name in run.summary.attacks)

    @cached_property
    def runs_by_network(self) -> dict[str, list[SummarisedRun]]:
        return _by_name((name, run) for run in self.runs for name in run.summary.networks)

    @cached_property
    def one_profile(self) -> bool:
        return len({run.summary.profile for run in self.runs}) == 1

    def suite_name(self, board: Board) -> str:
        """Return the name of a leaderboard's suite, with its profile if the site has several."""
        return board.suite if self.one_profile else f"{board.suite} {board.profile}"

    @cached_property
    def rows_by_attack(self) -> dict[str, list[tuple[Board, Row]]]:
        """The rows of each attack on leaderboards."""
        found: dict[str, list[tuple[Board, Row]]] = {}
        for board in self.boards:
            for row in board.rows:
                found.setdefault(row.attack, []).append((board, row))
        return found


@dataclass(frozen=True)
class Page:
    """A page: its path, its title, and the content for the template `site_page.html`."""

    place: str
    title: str
    links: SiteLinks
    sections: tuple[Section, ...]
    facts: Facts
    intro: str = ""


def _by_name(pairs: Iterable[tuple[str, SummarisedRun]]) -> dict[str, list[SummarisedRun]]:
    """Group runs by the names of what they contain, sorted by name."""
    found: dict[str, list[SummarisedRun]] = {}
    for name, run in pairs:
        found.setdefault(name, []).append(run)
    return dict(sorted(found.items()))


def run_name(run: SummarisedRun) -> str:
    """Return the text of links to a run: its suite and profile, and its date or name unless that repeats them."""
    suite, profile = run.summary.group
    return f"{suite} {profile}" + ("" if run.found.when == f"{suite}/{profile}" else f" ({run.found.when})")


def run_link(run: SummarisedRun, root: str) -> Link:
    return Link(run_name(run), f"{root}{run.place}.html")


def score_name(board: Board) -> str:
    """Return the name of what a leaderboard ranks by, with its unit."""
    return f"{board.score} (%)" if board.percent else board.score


def best_of(rows: Sequence[Row], root: str) -> Field:
    """Return the first attack of rank 1, with a link; no name if several attacks were ranked and all tie."""
    best = [row for row in rows if row.rank == 1]
    if len(best) == len(rows) > 1:
        return text_field(f"all {len(rows)} tie")
    return text_field(best[0].attack, root + attack_page(best[0].attack)) if best else text_field("")


def charts_of(board: Board, attacks: Sequence[str]) -> tuple[Chart, ...]:
    """Return the histories of attacks on a leaderboard, where there are several runs."""
    where = f"{board.suite} {board.profile} {board.budget}"
    drawn = [
        history_chart(f"{attack}: {score_name(board)}, {where}", points, board.percent)
        for attack in attacks
        if (points := board.history.get(attack))
    ]
    return tuple(chart for chart in drawn if chart)
