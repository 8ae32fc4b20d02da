"""All stored scores as one table: in SQL (with duckdb, the extra `query`), as records, or as arrays.

Table `scores`, one row for each score of each run: `run` (the run's folder), `suite`, `profile`, `metric` (the score's
name, METRIC.SCORE; METRIC.* where a metric is void as a whole), then the labels, as text, NULL where not set:
`source`, `attack`, `budget`, `norm`, `target`, `relation` and those that suites and metrics add, such as `step`; then
`subset` (the outcomes that an image must have to count, such as `attack.reached and attack.fooled`; NULL where all
images count), `value`, `low`, `high` (the 95% interval), `n`, and `void` (the reason where there is no value, else
NULL). A score that tables show both with and without `only` has a row for each.

Table `runs`: `run`, `suite`, `profile`, `title`, `images` (how many), `digest` (of their list), `device`, `torch`,
`code` (the digest of bench's own code).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Fault, UsageError
from ..runs.folder import SCORES_FILE, find_runs
from ..runs.record import read_record

NUMBERS = ("value", "low", "high")
FIXED = ("run", "suite", "profile", "metric", "source", "attack", "budget", "norm", "target", "relation")
LAST = ("subset", *NUMBERS, "n", "void")
RUN_COLUMNS = ("run", "suite", "profile", "title", "images", "digest", "device", "torch", "code")
Record = dict[str, Any]


def stored_runs(out: str | Path = "results") -> list[Record]:
    """Return a record for each run below a results folder, with the columns of the table `runs`."""
    return [_run(folder) for folder in find_runs(Path(out))]


def stored_scores(out: str | Path = "results", **where: str) -> list[Record]:
    """Return the scores of all runs below a results folder as flat records.

    Args:
        out: The results folder.
        where: Columns and the values that they must have.

    Returns:
        Records with every column of the table `scores`; None if a score does not have the label.

    Raises:
        UsageError: The files of a run are missing or damaged.
    """
    records = [record for run in stored_runs(out) for record in _scores(run)]
    added = sorted({name for record in records for name in record} - {*FIXED, *LAST})
    complete = [{name: record.get(name) for name in (*FIXED, *added, *LAST)} for record in records]
    return [record for record in complete if all(record.get(name) == str(value) for name, value in where.items())]


def as_arrays(records: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Return the columns of records as arrays [number of records].

    `value`, `low` and `high` are float64 with NaN for None, `n` is int64, and other columns are objects.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    arrays: dict[str, NDArray[Any]] = {}
    for name in names:
        column = [record.get(name) for record in records]
        if name in NUMBERS:
            arrays[name] = np.array([math.nan if value is None else value for value in column], dtype=np.float64)
        else:
            arrays[name] = np.array(column, dtype=np.int64 if name == "n" else object)
    return arrays


def query(sql: str, out: str | Path = "results") -> list[Record]:
    """Run SQL over the tables `scores` and `runs`. The SQL can access no file and no network.

    Args:
        sql: One or more statements in the SQL of DuckDB.
        out: The results folder.

    Returns:
        The rows that the last statement returns.

    Raises:
        UsageError: duckdb is missing, a run's files are damaged, or the SQL is wrong.
    """
    try:
        import duckdb
    except ImportError as error:
        message = f'needs duckdb ({error}); install it with: pip install "adversarial-bench[query]"'
        raise UsageError(Fault("bench query", "", message)) from None
    scores = stored_scores(out)
    added = [name for name in (scores[0] if scores else {}) if name not in (*FIXED, *LAST)]
    with duckdb.connect(":memory:") as database:
        _fill(database, "scores", (*FIXED, *added, *LAST), scores)
        _fill(database, "runs", RUN_COLUMNS, stored_runs(out))
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        try:
            cursor = database.execute(sql)
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except duckdb.Error as error:
            raise UsageError(Fault("query", "", " ".join(str(error).partition("LINE 1:")[0].split()))) from None


def _fill(database: Any, table: str, names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    """Create a table of records, through JSON text: an insert for each row would take seconds."""
    types = {**dict.fromkeys(NUMBERS, "DOUBLE"), "n": "BIGINT", "images": "BIGINT"}
    columns = ", ".join(f"{_quoted(name)} {types.get(name, 'VARCHAR')}" for name in names)
    database.execute(f"CREATE TABLE {table} ({columns})")
    shape = {name: types.get(name, "VARCHAR") for name in names}
    for start in range(0, len(records), 5000):
        rows = [{name: record.get(name) for name in names} for record in records[start : start + 5000]]
        database.execute(
            f"INSERT INTO {table} SELECT row.* FROM (SELECT unnest(from_json(?::JSON, ?)) AS row)",
            [json.dumps(rows), json.dumps([shape])],
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _run(folder: Path) -> Record:
    record = read_record(folder)
    suite, images, environment = record.suite, record.images, record.environment
    return {
        "run": str(folder), "suite": suite.name, "profile": suite.profile, "title": suite.title,
        "images": len(images.ids), "digest": images.digest, "device": environment["device"],
        "torch": environment["torch"], "code": record.host,
    }  # fmt: skip


def _scores(run: Mapping[str, Any]) -> Iterator[Record]:
    path = Path(run["run"]) / SCORES_FILE
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            labels = {k: v if v is None or k in (*NUMBERS, "n") else str(v) for k, v in record.items()}
            yield {"run": run["run"], "suite": run["suite"], "profile": run["profile"], **labels}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise UsageError(Fault(str(path), "", f"cannot read: {reason} (run the suite again)")) from None
