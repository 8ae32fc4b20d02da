"""The pages over several runs: the front page, and those of leaderboards, attacks and networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...tables.formats.html import Field
from .boards import Board, SummarisedRun
from .chart import Chart, history_chart
from .places import Link, SiteLinks, attack_page, board_page, network_page
from .views import UP, Section, TableView, board_view, count_field, score_field, table_view, text_field

NEWEST = 12
Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class Site:
    """All that the pages are made from. Runs are oldest first."""

    title: str
    runs: Sequence[SummarisedRun]
    boards: Sequence[Board]

    @property
    def attacks(self) -> list[str]:
        return sorted({attack for run in self.runs for attack in run.summary.attacks})

    @property
    def networks(self) -> list[str]:
        return sorted({network for run in self.runs for network in run.summary.networks})


@dataclass(frozen=True)
class Page:
    """A page: where it is, its title, and what the template `site_page.html` shows."""

    place: str
    title: str
    links: SiteLinks
    sections: tuple[Section, ...]
    facts: Facts
    intro: str = ""


def pages(site: Site) -> Iterator[Page]:
    """Yield all pages over several runs."""
    yield front_page(site)
    links = SiteLinks(site.title, UP)
    for board in site.boards:
        yield board_page_of(site, board, links)
    for attack in site.attacks:
        yield attack_page_of(site, attack, links)
    for network in site.networks:
        yield network_page_of(site, network, links)


def front_page(site: Site) -> Page:
    """Return the page with the leaderboards, the newest runs, and links to all else."""
    facts = [
        ("Runs", str(len(site.runs))), ("Suites", str(len({run.summary.group for run in site.runs}))),
        ("Attacks", str(len(site.attacks))), ("Networks", str(len(site.networks))),
    ]  # fmt: skip
    newest = list(reversed(site.runs))
    header = [
        ("suite", False),
        ("profile", False),
        ("when", False),
        ("images", True),
        ("attacks", True),
        ("flags", True),
    ]
    latest = table_view("newest", "Newest runs", header, [_run_row(run) for run in newest[:NEWEST]])
    unranked = {run.summary.group: run for run in site.runs if run.summary.not_ranked}
    sections = [
        Section("leaderboards", "Leaderboards", "The best attack of each suite under each budget.", (_ranked(site),)),
        Section("newest", "Newest runs", tables=(latest,)),
        Section("attacks", "Attacks", links=tuple(Link(a, attack_page(a)) for a in site.attacks)),
        Section("networks", "Networks", links=tuple(Link(n, network_page(n)) for n in site.networks)),
        Section("runs", "All runs", links=tuple(Link(_run_name(run), f"{run.place}.html") for run in newest)),
    ]  # fmt: skip
    if unranked:
        rows = [
            (text_field(_run_name(run), f"{run.place}.html"), text_field(run.summary.not_ranked))
            for run in unranked.values()
        ]
        header = [("suite", False), ("why", False)]
        sections.insert(
            1, Section("unranked", "Not ranked", tables=(table_view("unranked", "Not ranked", header, rows),))
        )
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
            text_field(board.norm), text_field(board.score + (" (%)" if board.percent else "")),
            text_field(best[0].attack if best else "", attack_page(best[0].attack) if best else ""), value,
            count_field(len(best)), count_field(len(board.rows)), count_field(board.images),
            count_field(len(board.runs)),
        ))  # fmt: skip
    notes = [
        "tied: how many attacks have the first rank, because the paired 95% intervals of their differences from the "
        "best contain zero"
    ]
    return table_view("ranked", "Leaderboards", header, rows, [0, 1, 3, 4], notes)


def _run_name(run: SummarisedRun) -> str:
    return f"{run.summary.suite} {run.summary.profile} ({run.found.when})"


def _run_row(run: SummarisedRun) -> tuple[Field, ...]:
    summary = run.summary
    return (
        text_field(summary.suite, f"{run.place}.html"), text_field(summary.profile), text_field(run.found.when),
        count_field(summary.images), count_field(len(summary.attacks)), count_field(len(summary.flags)),
    )  # fmt: skip


def board_page_of(site: Site, board: Board, links: SiteLinks) -> Page:
    """Return the page of a leaderboard."""
    others = [
        Link(f"{other.budget} ({other.norm})", UP + other.page)
        for other in site.boards
        if (other.suite, other.profile) == (board.suite, board.profile) and other is not board
    ]
    runs = [Link(_run_name(run), f"{UP}{run.place}.html") for run in site.runs if run.place in board.runs]
    sections = [
        Section("leaderboard", "Leaderboard", tables=(board_view(board, lambda place: UP + place),)),
        Section("runs", "Runs", "The newest result of each attack is ranked.", links=tuple(reversed(runs))),
    ]
    if others:
        sections.append(Section("budgets", "Other budgets", links=tuple(others)))
    charts = _charts(board, [row.attack for row in board.rows if row.rank == 1])
    if charts:
        hint = "The attacks of the first rank; each has a page. A hollow mark is of other images or another threat."
        sections.append(Section("history", "History", hint, charts=charts))
    facts = [
        ("Budget", f"{board.budget}: {board.norm}, {board.description}"), ("Score", board.score),
        ("Images", str(board.images)), ("Sources", ", ".join(board.sources)), ("Targets", ", ".join(board.targets)),
    ]  # fmt: skip
    return Page(board.page, f"{board.title}: {board.budget}", links, tuple(sections), facts)


def _charts(board: Board, attacks: Sequence[str]) -> tuple[Chart, ...]:
    unit = " (%)" if board.percent else ""
    drawn = [
        history_chart(
            f"{attack}: {board.score}{unit}, {board.suite} {board.profile} {board.budget}", points, board.percent
        )
        for attack in attacks
        if (points := board.history.get(attack))
    ]
    return tuple(chart for chart in drawn if chart)


def attack_page_of(site: Site, attack: str, links: SiteLinks) -> Page:
    """Return the page of an attack: what it is in each suite, its ranks, and their history."""
    header = [
        ("suite", False), ("profile", False), ("budget", False), ("norm", False), ("category", False), ("rank", True),
        ("of", True), ("score", False), ("value", True), ("forwards", True), ("backwards", True), ("run", False),
    ]  # fmt: skip
    rows, charts = list[tuple[Field, ...]](), list[Chart]()
    for board in site.boards:
        for row in board.rows:
            if row.attack != attack:
                continue
            rank = "" if row.rank is None else f"{row.rank}{'=' if row.tied else ''}"
            rows.append((
                text_field(board.suite, UP + board.page), text_field(board.profile), text_field(board.budget),
                text_field(board.norm), text_field(row.category), Field(rank, str(row.rank or "")),
                count_field(len(board.rows)), text_field(board.score + (" (%)" if board.percent else "")),
                score_field(row.value, row.low, row.high, board.percent), count_field(row.forwards),
                count_field(row.backwards), text_field(row.when, f"{UP}{row.run}.html"),
            ))  # fmt: skip
            charts += _charts(board, [attack])
    made, in_runs = dict[tuple[str, str], list[Link]](), [run for run in site.runs if attack in run.summary.attacks]
    for run in in_runs:
        facts = run.summary.attacks[attack]
        made.setdefault((facts.made_of, facts.options), []).append(Link(_run_name(run), f"{UP}{run.place}.html"))
    definitions = [
        (text_field(recipe), text_field(options or "the defaults"), text_field(last.text, last.href))
        for (recipe, options), (*_, last) in made.items()
    ]
    recipe = [("recipe", False), ("options", False), ("newest run", False)]
    sections = [
        Section("ranks", "Ranks", "In each suite and budget, over all pairs.",
                (table_view("ranks", f"Ranks of {attack}", header, rows, [0, 2, 3, 4]),) if rows else ()),
        Section("definitions", "What it is", tables=(table_view("recipes", f"What {attack} is", recipe, definitions),)),
    ]  # fmt: skip
    if charts:
        hint = "Over runs, oldest first. A hollow mark is of other images or another threat than the newest run."
        sections.insert(1, Section("history", "History", hint, charts=tuple(charts)))
    return Page(attack_page(attack), attack, links, tuple(sections), [("Runs", str(len(in_runs)))])


def network_page_of(site: Site, network: str, links: SiteLinks) -> Page:
    """Return the page of a network: its weights, and the best attack on it and from it in each suite."""
    header = [
        ("suite", False), ("profile", False), ("budget", False), ("norm", False), ("as", False),
        ("best attack", False), ("score", False), ("value", True), ("run", False),
    ]  # fmt: skip
    rows, used = [], [run for run in site.runs if network in run.summary.networks]
    for board in site.boards:
        for role, scope in (("source", (network, "")), ("target", ("", network))):
            lines = dict(board.scopes).get(scope, ())
            single = {"source": board.sources, "target": board.targets}[role] == (network,)
            best = next((row for row in (lines or (board.rows if single else ())) if row.rank == 1), None)
            if best:
                rows.append((
                    text_field(board.suite, UP + board.page), text_field(board.profile), text_field(board.budget),
                    text_field(board.norm), text_field(role), text_field(best.attack, UP + attack_page(best.attack)),
                    text_field(board.score + (" (%)" if board.percent else "")),
                    score_field(best.value, best.low, best.high, board.percent),
                    text_field(best.when, f"{UP}{best.run}.html"),
                ))  # fmt: skip
    identities = sorted({run.summary.networks[network] for run in used})
    sections = [
        Section("attacks", "Best attacks", "The best attack from this network as the source, and on it as the target.",
                (table_view("best", f"Best attacks, {network}", header, rows, [0, 2, 3, 4]),) if rows else ()),
        Section("runs", "Runs", links=tuple(Link(_run_name(r), f"{UP}{r.place}.html") for r in reversed(used))),
    ]  # fmt: skip
    return Page(network_page(network), network, links, tuple(sections), [("Weights", "; ".join(identities))])


def links_of_run(run: SummarisedRun) -> list[Link]:
    """Return the links of a run's page to leaderboards, attacks and networks."""
    summary = run.summary
    ranked = {entry.budget for entry in summary.entries}
    boards = [
        Link(f"leaderboard {name}", UP + board_page(*summary.group, name)) for name in summary.budgets if name in ranked
    ]
    attacks = [Link(name, UP + attack_page(name)) for name in summary.attacks]
    return [*boards, *attacks, *(Link(name, UP + network_page(name)) for name in summary.networks)]
