"""Tables of a site: heatmaps are shaded tables, no number stands twice, and what no row has is no column."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest

from bench_core import run
from bench_core.plots.differences import differences
from bench_core.reports.page.figures import _reduced
from bench_core.reports.site.boards import SummarisedRun, make_boards
from bench_core.reports.site.build import Builder
from bench_core.reports.site.found import find_site_runs
from bench_core.reports.site.run_page import suite_text
from bench_core.reports.site.run_tables import run_tables
from bench_core.reports.site.summary import summarise_run
from bench_core.reports.site.unchanged import KnownDigests, run_files
from bench_core.reports.site.views import board_view
from bench_core.runs.record import read_record

TWO = ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"MI" = { recipe = "mi" }')
BEST = ("mean = true", 'mean = true\nbest = "max"')
COMPARED = """
[[tables]]
name = "compared"
title = "compared with PGD"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.success"
format = "percent"
mean = true
baseline = { attack = "PGD" }
"""
HEATMAPS = """
[[plots]]
name = "matrix"
kind = "heatmap"
value = "transfer.success"
panels = ["attack"]
format = "percent"
[[plots]]
name = "difference"
title = "minus PGD"
kind = "heatmap"
value = "transfer.success"
panels = ["attack"]
baseline = { attack = "PGD" }
format = "percent"
"""


@pytest.fixture
def made(write_suite, registry, tmp_path: Path):
    def of(*replacements, append: str = ""):
        path = write_suite(*replacements, append=append)
        return run(path, out=tmp_path / "results", executor="inline", registry=registry)

    return of


def summarised(result) -> SummarisedRun:
    summary, entries = summarise_run(result, read_record(result.folder))
    return SummarisedRun(find_site_runs([str(result.folder)])[0], summary, lambda: entries)


def test_a_heatmap_is_the_shaded_table_that_has_its_numbers(made, registry, tmp_path: Path) -> None:
    result = made(TWO, append=HEATMAPS)
    shown = run_tables(result)
    assert [table.shades for table in shown.tables] == ["2 4", "2 4 signed"], "neither labels nor the mean"
    assert {name: plot.table for name, plot in shown.heatmaps.items()} == {"matrix": 1, "difference": 2}
    paired = differences(result.scores, "transfer.success", {"attack": "PGD"}, result.suite.attack_labels)
    expected = {
        ("MI", score.labels.source, score.labels.target): f"{100 * score.score.value:+.1f}"
        for score in paired.select("transfer.success")
    }
    table = shown.tables[1]
    got = {
        (row[0].text, row[1].text, target): field.text.strip("°")
        for row in table.rows
        for target, field in zip(table.header[2:], row[2:], strict=True)
    }
    assert got == expected
    Builder(tmp_path / "site", "x", given_registry=registry).build(find_site_runs([str(result.folder)]))
    (page,) = (tmp_path / "site" / "runs").glob("*.html")
    assert 'data-shades="2 4 signed"' in page.read_text()
    pictures = [path.name.rpartition("-plot-")[2] for path in (tmp_path / "site" / "runs").glob("*-plot-*")]
    assert {name.partition(".")[0] for name in pictures} & {"1", "2"} == set(), "no picture of either heatmap"


def test_columns_that_an_earlier_table_has_are_left_out_and_named(made) -> None:
    first, second = run_tables(made(TWO, append=COMPARED)).tables
    assert first.header == ("source", "attack", "A", "B", "mean")
    assert second.header == ("source", "attack", "mean", "mean - PGD")
    assert {len(row) for row in second.rows} == {4}
    assert second.notes[-1] == f'the values of A, B are in the table "{first.title.removesuffix(" (%)")}"'


def test_columns_of_another_score_stay(made) -> None:
    last = COMPARED.replace("transfer.success", "transfer.last").replace("compared", "last")
    _, second = run_tables(made(TWO, append=last)).tables
    assert second.header == ("source", "attack", "A", "B", "mean", "mean - PGD")


def test_a_suite_without_a_best_value_is_listed_and_not_ranked(made, registry, tmp_path: Path) -> None:
    result = made(TWO)
    (board,) = make_boards([summarised(result)]).boards
    assert board.unordered == "no table and no gate of toy states whether a high or a low transfer.success is best"
    assert [(row.attack, row.rank, row.front) for row in board.rows] == [("PGD", None, False), ("MI", None, False)]
    assert all(row.value is not None for row in board.rows)
    table = board_view(board, str).table
    assert "rank" not in table.header
    assert "front" not in table.header
    Builder(tmp_path / "site", "x", given_registry=registry).build(find_site_runs([str(result.folder)]))
    (page,) = (tmp_path / "site" / "boards").glob("*.html")
    assert f"Not ranked: {board.unordered}." in page.read_text()
    assert '"best":null' in (tmp_path / "site" / "index.json").read_text()


def test_a_column_is_there_if_a_row_has_an_entry(made) -> None:
    (board,) = make_boards([summarised(made(TWO, BEST))]).boards
    assert "category" not in board_view(board, str).table.header
    assert "flags" in board_view(board, str).table.header or not any(row.flags for row in board.rows)
    row = board.rows[0].model_copy(update={"category": "momentum"})
    scopes = tuple((scope, (row, *rows[1:]) if scope == ("", "") else rows) for scope, rows in board.scopes)
    assert "category" in board_view(board.model_copy(update={"scopes": scopes}), str).table.header


def test_white_box_suites_are_ranked_over_white_box_pairs(made) -> None:
    own = ('sources = ["A", ["A", "B"]]\ntargets = ["A", "B"]', 'sources = ["A"]\ntargets = ["A"]')
    (board,) = make_boards([summarised(made(TWO, BEST, own))]).boards
    assert board.relation == "white-box"
    assert {row.pairs for row in board.rows} == {1}


def test_the_scores_of_runs_that_do_not_rank_are_not_read(made) -> None:
    run_of = summarised(made(TWO, BEST))

    def unread():
        raise AssertionError("read")

    older = SummarisedRun(run_of.found, run_of.summary, unread)
    (board,) = make_boards([older, older, run_of]).boards
    assert {len(points) for points in board.history.values()} == {3}


def test_a_page_does_not_say_where_files_were(made) -> None:
    result = made(TWO)
    assert result.suite.file
    assert str(Path(result.suite.file).parent) not in suite_text(result.suite)


def test_a_site_is_the_same_wherever_its_runs_are(made, registry, tmp_path: Path) -> None:
    made(TWO, BEST)
    Builder(tmp_path / "a", "x", given_registry=registry).build(find_site_runs([str(tmp_path / "results")]))
    (tmp_path / "results").rename(tmp_path / "moved")
    Builder(tmp_path / "b", "x", given_registry=registry).build(find_site_runs([str(tmp_path / "moved")]))
    first, second = (
        {path.relative_to(tmp_path / site): path.read_bytes() for path in (tmp_path / site).rglob("*.html")}
        for site in ("a", "b")
    )
    assert first == second


@pytest.fixture
def settled(tmp_path: Path) -> Path:
    """Return a run's folder with made files that changed long ago."""
    folder = tmp_path / "settled"
    folder.mkdir()
    for path in run_files(folder):
        path.write_text(path.name)
        os.utime(path, (1e9, 1e9))
    return folder


def test_an_unchanged_run_is_not_read(settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def digest_of(known: KnownDigests) -> str:
        return known.digest_of(settled, lambda folder: read.append(folder) or f"digest {len(read)}")

    later = time.time_ns() + 3_600_000_000_000
    monkeypatch.setattr("bench_core.reports.site.unchanged.time.time_ns", lambda: later)
    for calls in (1, 1):
        known = KnownDigests(tmp_path / "kept.json")
        assert (digest_of(known), len(read)) == ("digest 1", calls)
        known.save()
    run_files(settled)[0].write_text("other")
    assert digest_of(KnownDigests(tmp_path / "kept.json")) == "digest 2"
    (tmp_path / "kept.json").write_text("[1]")
    assert digest_of(KnownDigests(tmp_path / "kept.json")) == "digest 3", "what cannot be read is computed"


def test_a_run_that_changed_just_now_is_read_again(settled: Path, tmp_path: Path) -> None:
    """Its files may change once more in the same tick of the clock."""
    known = KnownDigests(tmp_path / "kept.json")
    known.digest_of(settled, lambda folder: "a")  # the time of its inode is of this test
    known.save()
    assert KnownDigests(tmp_path / "kept.json").digest_of(settled, lambda folder: "b") == "b"


def test_thin_lines_of_a_small_picture_keep_their_colours() -> None:
    from PIL import Image

    lines = [(0, 114, 178), (0, 158, 115), (213, 94, 0), (204, 121, 167), (230, 159, 0)]
    picture = np.full((200, 300, 3), 255, np.uint8)
    picture[20:160] = np.linspace(200, 250, 300).astype(np.uint8)[None, :, None]  # many pixels of many greys
    for index, colour in enumerate(lines):
        picture[180 + 2 * index, 40:80] = colour
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "png")
    reduced = np.asarray(Image.open(io.BytesIO(_reduced(out.getvalue()))).convert("RGB")).astype(int)
    for index, colour in enumerate(lines):
        assert np.abs(reduced[180 + 2 * index, 60] - colour).max() <= 8
