"""A plugin's format serves every command and is saved in the run's folder."""

from __future__ import annotations

import logging

import pytest

from bench_core import run
from bench_core.cli import app, guard
from bench_core.errors import UsageError
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.tables.formats import PLAIN, WITH_INTERVALS, find_format
from bench_core.tables.sheet import Approximate, Column, Sheet, sheet_of, table_of
from bench_core.tables.table import Table, TableCell


class Org:
    """Renders a table with a line for each row, and intervals if they are asked for."""

    def __init__(self, formats: dict[str, str] | None = None) -> None:
        self.formats = {"org": "org"} if formats is None else formats

    @hookimpl
    def bench_formats(self):
        return self.formats

    @hookimpl
    def bench_render(self, table, format, intervals):
        if format not in self.formats:
            return None
        if format == "broken":
            raise ValueError("on purpose")
        lines = [" ".join(table.header)]
        for labels, cells in table.rows:
            values = [f"{cell.value:.3f}" + f"[{cell.low:.3f}]" * intervals for cell in cells]
            lines.append(" | ".join([*labels, *values]))
        return "\n".join(lines) + "\n"


class Version1:
    """A format as plugins wrote it before formats were saved."""

    @hookimpl
    def bench_render(self, table, format):
        return f"<{table.title}>" if format == "old" else None


def registered(registry: Registry, plugin: object) -> Registry:
    registry.register(plugin, Origin(type(plugin).__name__, "tests", "1", ""))
    return registry


def test_a_run_saves_it_and_a_broken_one_costs_nothing(registry, write_suite, tmp_path, caplog) -> None:
    registered(registry, Org({"org": "org", "broken": "brk"}))
    with caplog.at_level(logging.WARNING, "bench"):
        result = run(write_suite(), out=tmp_path, registry=registry, executor="inline")
    saved = {path.name for path in (result.folder / "tables").iterdir()}
    assert saved == {f"main.{s}" for s in ("txt", "md", "csv", "intervals.csv", "tex", "html", "json", "org")}
    text = (result.folder / "tables" / "main.org").read_text()
    assert text == find_format("org", registry.manager)(sheet_of(result.tables[0]), PLAIN)
    assert f"{result.tables[0].rows[0][1][0].value:.3f}" in text
    assert "not saved as broken: raised ValueError: on purpose" in caplog.text


def test_it_gets_the_table_itself_and_the_intervals(registry: Registry) -> None:
    registered(registry, Org())
    table = Table("t", "title", ("a", "X"), 1, ((("r",), (TableCell(0.5, 0.4, 0.6, 9),)),), True, ())
    assert table_of(sheet_of(table)) is table
    render = find_format("org", registry.manager)
    assert render(sheet_of(table), PLAIN) == "a X\nr | 0.500\n"
    assert render(sheet_of(table), WITH_INTERVALS) == "a X\nr | 0.500[0.400]\n"


def test_a_sheet_of_mixed_columns_becomes_labels_and_cells() -> None:
    columns = (Column("rank", "count"), Column("attack"), Column("score", "percent"), Column("cost", "total"))
    sheet = Sheet(
        "t", columns, ((1, "PGD", 0.25, Approximate(7)), (None, "IR", 0.5, 8)), ("note",), frozenset({0}), ("intro",)
    )
    table = table_of(sheet)
    assert table.header == ("attack", "rank", "score", "cost")
    assert [key for key, _ in table.rows] == [("PGD",), ("IR",)]
    assert [cell.value for cell in table.rows[0][1]] == [1, 0.25, 7]
    assert [cell.best for _, cells in table.rows for cell in cells] == [True] * 3 + [False] * 3
    assert table.rows[1][1][0] == TableCell()
    assert (table.percent, table.notes) == (False, ("intro", "note"))
    shares = Sheet("t", (Column("attack"), Column("score", "percent")), (("PGD", 0.25),))
    assert table_of(shares).percent


def test_a_plugin_of_version_1_works_unchanged(registry: Registry) -> None:
    registered(registry, Version1())
    sheet = Sheet("ranks", (Column("a"),), (("x",),))
    assert find_format("old", registry.manager)(sheet, WITH_INTERVALS) == "<ranks>"
    with pytest.raises(UsageError, match=r'unknown format "odl"'):
        find_format("odl", registry.manager)


def test_it_serves_every_command(registry: Registry, write_suite, tmp_path, monkeypatch, capsys) -> None:
    registered(registry, Org())
    monkeypatch.setattr("bench_core.registry.discover", lambda blocked=(): registry)
    suite = write_suite(append='[gate]\n"transfer.success" = { better = "higher" }\n')
    out = str(tmp_path / "results")
    folder = str(run(suite, out=out, registry=registry, executor="inline").folder)
    for command, expected in (
        (("show", folder), "source attack A B"),
        (("leaderboard", folder), "attack budget front flags run rank"),
        (("compare", folder, folder), "verdict score base new"),
        (("suites",), "suite profiles title"),
        (("baseline", "list"), "baseline suite profile last reason images"),
    ):
        code = guard(lambda c=command: app([*c, "--format", "org"], prog_name="bench", standalone_mode=False), False)
        printed = capsys.readouterr()
        assert (code, printed.err) == (0, ""), command
        assert printed.out.startswith(expected), command


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ({"csv": "x"}, r"formats\.csv: the name"),
        ({"mine": "csv"}, 'suffix "csv" is taken'),
        ({"mine": "../x"}, 'found suffix "../x"'),
    ],
)
def test_a_taken_name_and_a_bad_suffix_are_rejected(registry: Registry, formats, expected: str) -> None:
    registered(registry, Org(formats))
    with pytest.raises(UsageError, match=expected):
        find_format("any", registry.manager)
