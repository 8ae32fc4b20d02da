"""The pages over several runs: the front page, and those of leaderboards, attacks and networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...tables.formats.html import Field
from .boards import Board, SummarisedRun
from .content import Page, Site, best_of, charts_of, run_link, score_name
from .entities import attack_page_of, network_page_of
from .places import Link, SiteLinks, attack_page, board_page, network_page
from .views import UP, Section, TableView, board_view, number_field, score_field, table_view, text_field

NEWEST = 12
MOST_RUNS = 50  # to which a leaderboard links
RUNS_PAGE = "runs.html"


def pages(site: Site) -> Iterator[Page]:
    """Yield all pages over several runs."""
    yield front_page(site)
    yield runs_page(site)
    links = SiteLinks(site.title, UP)
    for board in site.boards:
        yield board_page_of(site, board, links)
    for attack in site.runs_by_attack:
        yield attack_page_of(site, attack, links)
    for network in site.runs_by_network:
        yield network_page_of(site, network, links)


def front_page(site: Site) -> Page:
    """Return the page with the leaderboards, the newest runs, and links to all else."""
    facts = [
        ("Runs", str(len(site.runs))), ("Suites", str(len({run.summary.group for run in site.runs}))),
        ("Attacks", str(len(site.runs_by_attack))), ("Networks", str(len(site.runs_by_network))),
    ]  # fmt: skip
    newest = list(reversed(site.runs))
    sections = [
        Section("leaderboards", "Leaderboards", "The best attack of each suite under each budget.", (_ranked(site),)),
        Section("newest", "Newest runs", tables=(_run_table("newest", "Newest runs", newest[:NEWEST]),),
                links=(Link(f"All {len(newest)} runs", RUNS_PAGE),)),
        Section("attacks", "Attacks", links=tuple(Link(a, attack_page(a)) for a in site.runs_by_attack)),
        Section("networks", "Networks", links=tuple(Link(n, network_page(n)) for n in site.runs_by_network)),
    ]  # fmt: skip
    without = {run.summary.group: run for run in site.runs if run.summary.no_board}
    if without:
        rows = [
            (text_field(" ".join(group), f"{run.place}.html#tables"), text_field(run.summary.no_board))
            for group, run in without.items()
        ]
        table = table_view("without", "Suites without a leaderboard", [("suite", False), ("why", False)], rows)
        hint = "Their scores are in the tables of their runs, to which the names link."
        sections.insert(1, Section("without", "Without a leaderboard", hint, (table,)))
    return Page("index.html", site.title, SiteLinks(site.title, ""), tuple(sections), facts)


def _ranked(site: Site) -> TableView:
    header = [
        ("suite", False), ("profile", False), ("budget", False), ("norm", False), ("score", False),
        ("best attack", False), ("value", True), ("tied", True), ("attacks", True), ("images", True), ("runs", True),
    ]  # fmt: skip
    rows = []
    for board in site.boards:
        best = [row for row in board.rows if row.rank == 1]
        value = score_field(best[0].value, best[0].low, best[0].high, board.percent) if best else Field("")
        rows.append((
            text_field(board.suite, board.page), text_field(board.profile), text_field(board.budget),
            text_field(board.norm), text_field(score_name(board)),
            text_field("not ranked") if board.unordered else best_of(board.rows, ""), value,
            number_field(len(best) or None), number_field(len(board.rows)),
            number_field(board.images), number_field(len(board.runs)),
        ))  # fmt: skip
    notes = [
        "tied: how many attacks have the first rank, because the paired 95% intervals of their differences from the "
        "best contain zero; not ranked: the suite does not say whether a high or a low value is best"
    ]
    return table_view("ranked", "Leaderboards", header, rows, ["suite", "profile", "norm", "score"], notes)


def runs_page(site: Site) -> Page:
    """Return the page with all runs, the newest first."""
    table = _run_table("runs", "Runs", list(reversed(site.runs)), ["suite", "profile"])
    return Page(RUNS_PAGE, "All runs", SiteLinks(site.title, ""), (Section("runs", "Runs", tables=(table,)),), [])


def _run_table(id_: str, title: str, runs: Sequence[SummarisedRun], filters: Sequence[str] = ()) -> TableView:
    header = [
        ("suite", False), ("profile", False), ("when", False), ("images", True), ("attacks", True), ("flags", True),
    ]  # fmt: skip
    rows = [
        (
            text_field(run.summary.suite, f"{run.place}.html"), text_field(run.summary.profile),
            text_field(run.found.when), number_field(run.summary.images), number_field(len(run.summary.attacks)),
            number_field(len(run.summary.flags)),
        )
        for run in runs
    ]  # fmt: skip
    return table_view(id_, title, header, rows, filters)


def board_page_of(site: Site, board: Board, links: SiteLinks) -> Page:
    """Return the page of a leaderboard."""
    others = [
        Link(f"{other.budget} ({other.norm})", UP + other.page)
        for other in site.boards
        if (other.suite, other.profile) == (board.suite, board.profile) and other is not board
    ]
    ranked = {*board.runs}
    runs = [run_link(run, UP) for run in reversed(site.runs) if run.place in ranked]
    older = f" The {len(runs) - MOST_RUNS} older runs are on the page of all runs." if len(runs) > MOST_RUNS else ""
    sections = [
        Section("leaderboard", "Leaderboard", board.unordered and f"Not ranked: {board.unordered}.",
                tables=(board_view(board, lambda place: UP + place),)),
        Section("runs", "Runs", f"The newest result of each attack is shown.{older}", links=tuple(runs[:MOST_RUNS])),
    ]  # fmt: skip
    if others:
        sections.append(Section("budgets", "Other budgets", links=tuple(others)))
    charts = charts_of(board, [row.attack for row in board.rows if row.rank == 1])
    if charts:
        hint = "The attacks of the first rank; each has a page. A hollow mark is of other images or another threat."
        sections.append(Section("history", "History", hint, charts=charts))
    budget = f"{board.budget}: {board.norm}, {board.description}" if board.norm else board.budget
    facts = [
        ("Budget", budget), ("Score", board.score),
        ("Images", str(board.images)), ("Pairs", _counts(row.pairs for row in board.rows)),
        ("Sources", ", ".join(board.sources)), ("Targets", ", ".join(board.targets)),
    ]  # fmt: skip
    title = f"{board.title}: {board.budget}" if board.budget else board.title
    return Page(board.page, title, links, tuple(sections), [(name, text) for name, text in facts if text])


def _counts(numbers: Iterable[int]) -> str:
    """Return numbers as text: a single number if all are equal, else the smallest and the largest."""
    known = sorted(set(numbers))
    return " to ".join(map(str, dict.fromkeys([known[0], known[-1]])))


def links_of_run(run: SummarisedRun) -> list[Link]:
    """Return the links of a run's page to leaderboards and attacks."""
    summary = run.summary
    budgets = dict.fromkeys(entry.budget for entry in summary.overall)
    boards = [Link(f"leaderboard {name}".strip(), UP + board_page(*summary.group, name)) for name in budgets]
    return [*boards, *(Link(name, UP + attack_page(name)) for name in summary.attacks)]
