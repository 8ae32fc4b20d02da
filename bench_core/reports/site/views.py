"""The parts of a site's pages as the templates show them: tables with links and choices, and sections."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...tables.formats.html import Field, HtmlTable
from ...tables.sheet import number
from .boards import EVERYTHING, Board, Row, Scope
from .chart import Chart
from .places import Link, attack_page

LONGEST_FLAG = 120
UP = "../"  # from a page to the top of the site


@dataclass(frozen=True)
class TableView:
    """A table with what filters it.

    Attributes:
        id: Its id on the page.
        table: The table.
        filters: The columns by whose entries rows can be chosen.
        scopes: The rows of other choices, by source and target as JSON, in the order of the suite.
    """

    id: str
    table: HtmlTable
    filters: tuple[int, ...] = ()
    scopes: dict[str, list[list[str | int]]] | None = None


@dataclass(frozen=True)
class Section:
    """A part of a page."""

    id: str
    title: str
    hint: str = ""
    tables: tuple[TableView, ...] = ()
    charts: tuple[Chart, ...] = ()
    links: tuple[Link, ...] = ()


def text_field(text: object, href: str = "") -> Field:
    return Field(str(text), str(text), href=href)


def count_field(value: float | None) -> Field:
    return Field("" if value is None else f"{value:,.4g}", "" if value is None else f"{value:.10g}")


def score_field(value: float | None, low: float | None, high: float | None, percent: bool, best: bool = False) -> Field:
    """Return a score with its interval below."""
    if value is None:
        return Field("void", style="void")
    interval = "" if low is None or high is None else f"[{number(low, percent)}, {number(high, percent)}]"
    return Field(number(value, percent), f"{value:.6g}", "best" if best else "", detail=interval)


def table_view(
    id_: str, title: str, header: Sequence[tuple[str, bool]], rows: Sequence[tuple[Field, ...]],
    filters: Sequence[int] = (), notes: Sequence[str] = (),
) -> TableView:  # fmt: skip
    """Return a table.

    Args:
        id_: Its id on the page.
        title: Its caption.
        header: The name of each column, and whether it has numbers.
        rows: The rows.
        filters: The columns that have a choice above the table.
        notes: The lines below it.
    """
    names = tuple(name for name, _ in header)
    table = HtmlTable(title, names, tuple(numeric for _, numeric in header), 1, tuple(rows), tuple(notes))
    return TableView(f"table-{id_}", table, tuple(filters))


def board_view(board: Board, page: Callable[[str], str]) -> TableView:
    """Return the table of a leaderboard, with the rows of every source and target.

    Args:
        board: The leaderboard.
        page: Returns the address of a page from that of the leaderboard, by its place on the site.
    """
    unit = " (%)" if board.percent else ""
    header = [
        ("attack", False), ("rank", True), (f"{board.score}{unit}", True), ("category", False), ("N", True),
        ("pairs", True), ("forwards", True), ("backwards", True), ("front", False), ("flags", False), ("run", False),
    ]  # fmt: skip
    rows = [_board_row(row, board.percent, page) for row in board.rows]
    notes = [
        f"the {'highest' if board.highest else 'lowest'} is the best; an attack has the rank of the first of its tie, "
        "marked =, if the paired 95% interval of their difference contains zero",
        *([f"only images with {' and '.join(board.only)}"] if board.only else []),
        "mean over black-box pairs, with its 95% interval; forwards and backwards: passes through the source for each "
        "image; front: no other attack is as good with as few passes",
    ]
    view = table_view("board", f"{board.title}: {board.budget}", header, rows, [3], notes)
    places = {row.attack: index for index, row in enumerate(board.rows)}
    others = {
        _key(scope): [
            _changes(places[row.attack], row, board.rows[places[row.attack]], board.percent)
            for row in lines
            if row.attack in places
        ]
        for scope, lines in board.scopes
        if scope != EVERYTHING
    }
    return TableView(view.id, view.table, view.filters, others or None)


def _key(scope: Scope) -> str:
    """Return how site.js names a scope."""
    return json.dumps(list(scope), separators=(",", ":"), ensure_ascii=False)


def _changes(index: int, row: Row, over_all: Row, percent: bool) -> list[str | int]:
    """Return what site.js puts into the row of an attack for one source or target, or one pair.

    Args:
        index: The number of the attack's row over all pairs.
        row: The row for this scope.
        over_all: The row over all pairs.
        percent: Whether the score is a share.
    """
    score = score_field(row.value, row.low, row.high, percent)
    changes: list[str | int] = [index, _rank(row), score.text, score.detail, row.pairs, int(row.front)]
    passes = (row.n, row.forwards, row.backwards)
    if passes != (over_all.n, over_all.forwards, over_all.backwards):
        changes += [count_field(value).text for value in passes]
    return changes


def _rank(row: Row) -> str:
    return "" if row.rank is None else f"{row.rank}{'=' if row.tied else ''}"


def _board_row(row: Row, percent: bool, page: Callable[[str], str]) -> tuple[Field, ...]:
    best = row.rank == 1
    flags = "; ".join(row.flags)
    shown = flags if len(flags) <= LONGEST_FLAG else f"{flags[: LONGEST_FLAG - 1]}…"
    return (
        text_field(row.attack, page(attack_page(row.attack))), Field(_rank(row)),
        score_field(row.value, row.low, row.high, percent, best), text_field(row.category), count_field(row.n or None),
        count_field(row.pairs), count_field(row.forwards), count_field(row.backwards),
        text_field("yes" if row.front else ""), text_field(shown), text_field(row.when, page(f"{row.run}.html")),
    )  # fmt: skip
