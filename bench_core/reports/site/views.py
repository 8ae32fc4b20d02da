"""The parts of a site's pages as the templates show them: tables with links and filters, and sections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...tables.formats.html import Field, HtmlTable
from ...tables.sheet import number
from .boards import Board, Row
from .chart import Chart
from .places import Link, attack_page
from .summary import EVERYTHING, Scope

LONGEST_FLAG = 120
UP = "../"  # from a page to the top of the site
CONSTANT = ("profile", "recipe", "N", "pairs", "runs", "run")  # columns that a line states if all rows have the same


@dataclass(frozen=True)
class TableView:
    """A table with its filters.

    Attributes:
        id: Its id on the page.
        table: The table.
        filters: The columns by whose entries rows can be chosen.
        scopes: The rows of other choices, by source and target as JSON, in the order of the suite.
    """

    id: str
    table: HtmlTable
    filters: tuple[int, ...] = ()
    scopes: dict[str, dict[str, Any]] | None = None


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


def number_field(value: float | None) -> Field:
    return Field("" if value is None else f"{value:,.4g}", "" if value is None else f"{value:.10g}")


def score_field(value: float | None, low: float | None, high: float | None, percent: bool, best: bool = False) -> Field:
    """Return a score with its interval below."""
    if value is None:
        return Field("void", style="void")
    interval = "" if low is None or high is None else f"[{number(low, percent)}, {number(high, percent)}]"
    return Field(number(value, percent), f"{value:.6g}", "best" if best else "", detail=interval)


def table_view(
    id_: str, title: str, header: Sequence[tuple[str, bool]], rows: Sequence[tuple[Field, ...]],
    filters: Iterable[str] = (), notes: Sequence[str] = (),
) -> TableView:  # fmt: skip
    """Return a table, without the columns that are empty in all rows or, of those in `CONSTANT`, the same in all.

    Args:
        id_: Its id on the page.
        title: Its caption.
        header: The name of each column, and whether it has numbers.
        rows: The rows.
        filters: The names of the columns that have a choice above the table, where it has them.
        notes: The lines below it.
    """
    stated, kept = list[str](), [0]
    for place, (name, _) in enumerate(header[1:], 1):
        entries = {(row[place].text, row[place].href) for row in rows}
        same = next(iter(entries))[0] if len(entries) == 1 else None
        if same and name in CONSTANT:
            stated.append(f"{name}: {same}")
        elif same != "":
            kept.append(place)
    names = tuple(header[place][0] for place in kept)
    table = HtmlTable(
        title, names, tuple(header[place][1] for place in kept), 1,
        tuple(tuple(row[place] for place in kept) for row in rows),
        (*notes, *([f"in all rows, {', '.join(stated)}"] if stated and len(rows) > 1 else stated)),
    )  # fmt: skip
    return TableView(f"table-{id_}", table, tuple(names.index(name) for name in filters if name in names))


def board_view(board: Board, page: Callable[[str], str]) -> TableView:
    """Return the table of a leaderboard, with the rows of every source and target.

    Args:
        board: The leaderboard.
        page: Returns the address of a page from that of the leaderboard, by its place on the site.
    """
    header = [
        ("attack", False), ("rank", True), (f"{board.score}{' (%)' if board.percent else ''}", True),
        ("category", False), ("N", True), ("pairs", True), ("forwards", True), ("backwards", True), ("front", False),
        ("flags", False), ("run", False),
    ]  # fmt: skip
    rows = [_board_row(row, board.percent, page) for row in board.rows]
    order = (
        f"the {'highest' if board.highest else 'lowest'} is the best; an attack has the rank of the first of its tie, "
        "marked =, if the paired 95% interval of their difference contains zero"
    )
    notes = [
        "in the order of the suite" if board.unordered else order,
        *([f"only images with {' and '.join(board.only)}"] if board.only else []),
        f"mean over {board.relation} pairs, with its 95% interval; forwards and backwards: passes through the source "
        "for each image" + ("" if board.unordered else "; front: no other attack is as good with as few passes"),
    ]
    view = table_view("board", f"{board.title}: {board.budget}", header, rows, ["category"], notes)
    places = {row.attack: index for index, row in enumerate(board.rows)}
    others = {
        _key(scope): _scope([row for row in lines if row.attack in places], places, board)
        for scope, lines in board.scopes
        if scope != EVERYTHING
    }
    return TableView(view.id, view.table, view.filters, others or None)


def _key(scope: Scope) -> str:
    """Return how site.js names a scope."""
    return json.dumps(list(scope), separators=(",", ":"), ensure_ascii=False)


def _scope(rows: Sequence[Row], places: dict[str, int], board: Board) -> dict[str, Any]:
    """Return what site.js shows for one source or target, or one pair: what all rows share, and each row."""
    shared = {"N": {row.n for row in rows}, "pairs": {row.pairs for row in rows}}
    common = {name: next(iter(found)) for name, found in shared.items() if len(found) == 1}
    lines = [_changes(places[row.attack], row, board, common) for row in rows]
    stated = {name: value for name, value in common.items() if (name, value) != ("N", board.images)}
    return stated | {"rows": lines}


def _changes(index: int, row: Row, board: Board, common: dict[str, int]) -> list[Any]:
    """Return what site.js puts into the row of an attack.

    Args:
        index: The number of the attack's row over all pairs.
        row: The row for this scope.
        board: The leaderboard.
        common: What all rows of the scope share.

    Returns:
        The number, the rank, the value with the ends of its interval, whether the row is on the front, and by the name
        of its column whatever differs from the row over all pairs. What is at the end and empty is left out.
    """
    over_all = board.rows[index]
    ends = [value for value in (row.value, row.low, row.high) if value is not None]
    others = {
        name: number_field(value).text
        for name, value, known in (
            ("N", row.n, common.get("N", over_all.n)), ("pairs", row.pairs, common.get("pairs", over_all.pairs)),
            ("forwards", row.forwards, over_all.forwards), ("backwards", row.backwards, over_all.backwards),
        )
        if value != known
    }  # fmt: skip
    changes = [
        index, rank_text(row), " ".join(number(end, board.percent) for end in ends) or "void", int(row.front), others,
    ]  # fmt: skip
    while not changes[-1]:
        changes.pop()
    return changes


def rank_text(row: Row) -> str:
    """Return a rank, marked if it is shared; empty if there is none."""
    return "" if row.rank is None else f"{row.rank}{'=' if row.tied else ''}"


def _board_row(row: Row, percent: bool, page: Callable[[str], str]) -> tuple[Field, ...]:
    best = row.rank == 1
    flags = "; ".join(row.flags)
    shown = flags if len(flags) <= LONGEST_FLAG else f"{flags[: LONGEST_FLAG - 1]}…"
    return (
        text_field(row.attack, page(attack_page(row.attack))), Field(rank_text(row)),
        score_field(row.value, row.low, row.high, percent, best), text_field(row.category),
        number_field(row.n or None), number_field(row.pairs), number_field(row.forwards), number_field(row.backwards),
        text_field("yes" if row.front else ""), text_field(shown), text_field(row.when, page(f"{row.run}.html")),
    )  # fmt: skip
