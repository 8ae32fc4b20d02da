"""The pages of attacks and of networks."""

from __future__ import annotations

from ...tables.formats.html import Field
from .boards import Board, Row
from .chart import Chart
from .content import Page, Site, best_of, charts_of, run_link, score_name
from .places import Link, SiteLinks, attack_page, network_page
from .views import UP, Section, number_field, rank_text, score_field, table_view, text_field

MOST_RUNS = 50  # the newest runs, to which a page links
FILTERS = ("suite", "norm", "category", "as")


def attack_page_of(site: Site, attack: str, links: SiteLinks) -> Page:
    """Return the page of an attack: what it is in each suite, its ranks, and their history."""
    header = [
        ("suite", False), ("budget", False), ("norm", False), ("category", False), ("rank", True),
        ("of", True), ("score", False), ("value", True), ("forwards", True), ("backwards", True),
    ]  # fmt: skip
    rows, charts = list[tuple[Field, ...]](), list[Chart]()
    for board, row in site.rows_by_attack.get(attack, ()):
        rows.append((
            text_field(site.suite_name(board), UP + board.page), text_field(board.budget), text_field(board.norm),
            text_field(row.category), Field(rank_text(row), str(row.rank or "")),
            number_field(len(board.rows)), text_field(score_name(board)),
            score_field(row.value, row.low, row.high, board.percent), number_field(row.forwards),
            number_field(row.backwards),
        ))  # fmt: skip
        charts += charts_of(board, [attack])
    runs = site.runs_by_attack[attack]
    made = dict[tuple[str, str], Link]()  # the newest run of each definition
    for run in runs:
        facts = run.summary.attacks[attack]
        made[facts.made_of, facts.options] = run_link(run, UP)
    definitions = [
        (text_field(recipe), text_field(options or "the defaults"), text_field(last.text, last.href))
        for (recipe, options), last in made.items()
    ]
    recipe = [("recipe", False), ("options", False), ("newest run", False)]
    sections = [
        Section("definitions", "What it is", tables=(table_view("recipes", f"What {attack} is", recipe, definitions),)),
    ]
    if charts:
        hint = "Over runs, oldest first. A hollow mark is of other images or another threat than the newest run."
        sections.insert(0, Section("history", "History", hint, charts=tuple(charts)))
    if rows:
        ranks = table_view("ranks", f"Ranks of {attack}", header, rows, FILTERS)
        sections.insert(0, Section("ranks", "Ranks", "In each suite and budget, over all pairs.", (ranks,)))
    return Page(attack_page(attack), attack, links, tuple(sections), [("Runs", str(len(runs)))])


def network_page_of(site: Site, network: str, links: SiteLinks) -> Page:
    """Return the page of a network: its weights, and the best attack on it and from it in each suite."""
    header = [
        ("suite", False), ("budget", False), ("norm", False), ("as", False),
        ("best attack", False), ("tied", True), ("score", False), ("value", True),
    ]  # fmt: skip
    used, groups = site.runs_by_network[network], {run.summary.group for run in site.runs_by_network[network]}
    boards = [board for board in site.boards if (board.suite, board.profile) in groups]
    rows = [
        _best_row(site.suite_name(board), board, role, lines)
        for board in boards
        for role in ("source", "target")
        if (lines := _lines(board, role, network)) and not board.unordered
    ]
    sections, listed = list[Section](), {(board.suite, board.profile) for board in boards}
    others = [run_link(run, UP) for run in reversed(used) if run.summary.group not in listed][:MOST_RUNS]
    if others:
        sections.append(Section("runs", "Runs of suites without a leaderboard", links=tuple(others)))
    if rows:
        table = table_view("best", f"Best attacks, {network}", header, rows, FILTERS)
        hint = (
            "The best attack from this network as the source, and on it as the target. Tied: how many attacks have the "
            "first rank with it."
        )
        sections.insert(0, Section("attacks", "Best attacks", hint, (table,)))
    known = dict.fromkeys(run.summary.networks[network] for run in used)
    weights = [("Weights", f"{each.recipe}, {each.identity}, in short {each.short}") for each in known]
    return Page(network_page(network), network, links, tuple(sections), weights)


def _lines(board: Board, role: str, network: str) -> tuple[Row, ...]:
    """Return the rows of a leaderboard with a network as the source or the target, even if it is the only network."""
    scope, labels = ((network, ""), board.sources) if role == "source" else (("", network), board.targets)
    return dict(board.scopes).get(scope) or (board.rows if labels == (network,) else ())


def _best_row(suite: str, board: Board, role: str, lines: tuple[Row, ...]) -> tuple[Field, ...]:
    best = [row for row in lines if row.rank == 1]
    first = best[0] if best else lines[0]  # void, if nothing is ranked
    return (
        text_field(suite, UP + board.page), text_field(board.budget), text_field(board.norm), text_field(role),
        best_of(lines, UP), number_field(max(len(best) - 1, 0) or None), text_field(score_name(board)),
        score_field(first.value, first.low, first.high, board.percent),
    )  # fmt: skip
