"""Stored scores in SQL, as records and as arrays are the same; tables with other labels as rows."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.cli import app, guard
from bench_core.errors import UsageError
from bench_core.reports.query import as_arrays, stored_runs, stored_scores
from bench_core.runs.scoring import pivots
from bench_core.tables.table import Table, TableCell
from bench_core.tables.views import beside_published


@pytest.fixture
def result(write_suite, registry, tmp_path: Path):
    hostile = ('"A" = {', '"x\';--<b>" = { recipe = "toy", seed = 3 }\n"A" = {')
    suite = load_suite(write_suite(hostile, ('targets = ["A", "B"]', 'targets = ["A", "B", "x\';--<b>"]')))
    return run(suite, out=tmp_path / "results", executor="inline", registry=registry)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = guard(lambda: app(list(arguments), prog_name="bench", standalone_mode=False), False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err.splitlines()

    return call


def test_records_and_arrays_are_the_scores_of_the_run(result, tmp_path: Path) -> None:
    records = stored_scores(tmp_path / "results")
    assert len(records) == len(result.scores)
    for record, score in zip(records, result.scores, strict=True):
        assert record["metric"] == score.metric
        assert record["value"] == pytest.approx(score.score.value)
        assert record["run"] == str(result.folder)
    arrays = as_arrays(records)
    assert arrays["value"].dtype == np.float64
    assert arrays["n"].dtype == np.int64
    assert set(arrays) == {name for record in records for name in record}
    chosen = stored_scores(tmp_path / "results", metric="transfer.at_step", step="2", target="B")
    assert {record["step"] for record in chosen} == {"2"}
    assert len(chosen) == 2
    (record,) = stored_runs(tmp_path / "results")
    assert record["images"] == 12


def test_sql_gives_the_same_as_records(result, tmp_path: Path, bench) -> None:
    pytest.importorskip("duckdb")
    from bench_core.reports.query import query

    out = tmp_path / "results"
    assert query("SELECT * FROM scores", out) == stored_scores(out)
    assert query("SELECT * FROM runs", out) == stored_runs(out)
    sql = "SELECT target, avg(value) AS mean FROM scores WHERE metric = 'transfer.success' GROUP BY 1"
    code, text, _ = bench("query", sql, "--out", str(out), "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        values = [record["value"] for record in stored_scores(out, metric="transfer.success", target=row["target"])]
        assert float(row["mean"]) == pytest.approx(np.mean(values))
    assert len(rows) == 3
    for sql in (
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY scores TO 'x.csv'",
        "SELEC 1",
        "SELECT nothing FROM scores",
    ):
        with pytest.raises(UsageError, match=r"^query: "):
            query(sql, out)


def test_runs_are_found_wherever_their_folders_are_moved_to(result, tmp_path: Path, bench, monkeypatch) -> None:
    pytest.importorskip("duckdb")
    moved = tmp_path / "elsewhere"
    (moved / "one").parent.mkdir()
    result.folder.rename(moved / "one")
    monkeypatch.chdir(moved)
    for out in (".", "one"):
        assert [Path(run["run"]).resolve() for run in stored_runs(out)] == [moved / "one"]
        code, printed, _ = bench("query", "SELECT count(*) AS n FROM runs", "--out", out, "--format", "csv")
        assert (code, printed.splitlines()) == (0, ["n", "1"])
    code, printed, errors = bench("query", "SELECT 1", "--out", "nowhere")
    assert (code, printed) == (2, "")
    assert errors == ["bench: nowhere: there are no runs (bench run SUITE)"]


def test_a_run_is_shown_by_the_name_of_its_suite_without_the_suite_file(
    result, tmp_path: Path, bench, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_folder = bench("show", str(result.folder))
    assert by_folder[0] == 0
    Path(result.suite.file).rename(tmp_path / "gone")
    assert bench("show", result.suite.name, "--out", "results") == by_folder
    assert bench("show", result.suite.name, "--out", "results", "--profile", "other")[0] == 2
    (tmp_path / "another.toml").touch()
    assert 'did you mean "another.toml"?' in bench("show", "another", "--out", "results")[2][0]


def test_the_schema_names_every_fixed_column(bench) -> None:
    text = bench("query", "--schema")[1]
    from bench_core.reports.query import FIXED, LAST, RUN_COLUMNS

    assert all(f"`{name}`" in text for name in (*FIXED, *LAST, *RUN_COLUMNS))
    assert bench("query")[0] == 2


def test_other_labels_as_rows_show_the_same_numbers(result, bench, registry) -> None:
    (table,) = result.tables
    (turned,) = pivots(result, ["target"])
    before = {(*key, name): cell.value for key, cells in table.rows
              for name, cell in zip(table.header[2:5], cells, strict=False)}  # fmt: skip
    after = {}
    for (target,), cells in turned.rows:
        for name, cell in zip(turned.header[1:], cells, strict=True):
            if name != "mean":
                source, attack = name.rsplit(" ", 1)
                after[source, attack, target] = cell.value
    assert before == after
    with pytest.raises(UsageError, match=r"no table has budget \(known: attack, source, target\)"):
        pivots(result, ["budget"])
    code, text, _ = bench("show", str(result.folder), "--by", "target,attack", "--format", "json")
    assert code == 0
    assert json.loads(text)["header"][:2] == ["target", "attack"]


def test_published_values_get_columns_of_their_own() -> None:
    cells = (TableCell(0.5, 0.4, 0.6, 10, reference=0.45), TableCell(0.7))
    widened = beside_published(Table("t", "t", ("s", "X", "mean"), 1, ((("a",), cells),), True, ("(published value)",)))
    assert widened.header == ("s", "X", "X published", "X difference", "mean")
    ((_, cells_of_row),) = widened.rows
    assert [cell.value for cell in cells_of_row] == pytest.approx([0.5, 0.45, 0.05, 0.7])
    assert (cells_of_row[2].low, cells_of_row[2].high) == pytest.approx((-0.05, 0.15))
    assert widened.notes == ()
    none = Table("t", "t", ("s", "X"), 1, ((("a",), (TableCell(0.5),)),), True, ())
    assert beside_published(none).notes == ("no published values are known for this table",)
