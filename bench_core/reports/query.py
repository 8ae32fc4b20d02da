"""All stored scores as one table: in SQL (with duckdb, the extra `query`), as records, or as arrays.

Table `scores`, a line for each score of each run: `run` (the run's folder), `suite`, `profile`, `metric` (the metric's
label, a dot and the score's name), then the labels, all of them text and NULL where a score has no such label:
`source`, `attack`, `budget`, `norm`, `target`, `relation` and those that suites and metrics add, such as `step`; then
`value`, `low`, `high` (the 95% interval), `n`, and `void` (why there is no value, else NULL).

Table `runs`: `run`, `suite`, `profile`, `title`, `images` (how many), `digest` (of their list), `device`, `torch`,
`code` (the digest of bench's own).
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

NUMBERS = ("value", "low", "high")
FIXED = ("run", "suite", "profile", "metric", "source", "attack", "budget", "norm", "target", "relation")
LAST = (*NUMBERS, "n", "void")
RUN_COLUMNS = ("run", "suite", "profile", "title", "images", "digest", "device", "torch", "code")
Record = dict[str, Any]


def stored_runs(out: str | Path = "results") -> list[Record]:
    """Give a record for each run below a results folder, with the columns of the table `runs`."""
    return [_run(path) for path in sorted(Path(out).glob("*/*/run.json"))]


def stored_scores(out: str | Path = "results", **where: str) -> list[Record]:
    """Give the scores of all runs below a results folder as flat records; only those with the labels of `where`.

    A record has every column of the table `scores`, None where it has no such label.
    """
    found = [record for run in stored_runs(out) for record in _scores(run)]
    added = sorted({name for record in found for name in record} - {*FIXED, *LAST})
    whole = [{name: record.get(name) for name in (*FIXED, *added, *LAST)} for record in found]
    return [record for record in whole if all(record.get(name) == str(value) for name, value in where.items())]


def as_arrays(records: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Give records as one array a column: floats with NaN for numbers, objects with None for labels."""
    names = list(dict.fromkeys(name for record in records for name in record))
    made: dict[str, NDArray[Any]] = {}
    for name in names:
        column = [record.get(name) for record in records]
        if name in NUMBERS:
            made[name] = np.array([math.nan if value is None else value for value in column], dtype=np.float64)
        else:
            made[name] = np.array(column, dtype=np.int64 if name == "n" else object)
    return made


def query(sql: str, out: str | Path = "results") -> list[Record]:
    """Answer SQL over the tables `scores` and `runs`. Raises UsageError where duckdb is missing or the SQL is wrong.

    The SQL sees those tables and nothing else: no file and no network.
    """
    try:
        import duckdb
    except ImportError as error:
        message = f'needs duckdb ({error}); install it with: pip install "adversarial-bench[query]"'
        raise UsageError(Fault("bench query", "", message)) from None
    scores = stored_scores(out)
    added = [name for name in (scores[0] if scores else {}) if name not in (*FIXED, *LAST)]
    with duckdb.connect(":memory:") as base:
        _fill(base, "scores", (*FIXED, *added, *LAST), scores)
        _fill(base, "runs", RUN_COLUMNS, stored_runs(out))
        base.execute("SET enable_external_access = false")
        base.execute("SET lock_configuration = true")
        try:
            answer = base.execute(sql)
            names = [each[0] for each in answer.description or []]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise UsageError(Fault("bench query", "", " ".join(str(error).split()))) from None


def _fill(base: Any, table: str, names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    """Make a table of records, through one JSON text: an insert for each row would take seconds."""
    types = {**dict.fromkeys(NUMBERS, "DOUBLE"), "n": "BIGINT", "images": "BIGINT"}
    columns = ", ".join(f"{_quoted(name)} {types.get(name, 'VARCHAR')}" for name in names)
    base.execute(f"CREATE TABLE {table} ({columns})")
    shape = {name: types.get(name, "VARCHAR") for name in names}
    for start in range(0, len(records), 5000):
        rows = [{name: each.get(name) for name in names} for each in records[start : start + 5000]]
        base.execute(
            f"INSERT INTO {table} SELECT row.* FROM (SELECT unnest(from_json(?::JSON, ?)) AS row)",
            [json.dumps(rows), json.dumps([shape])],
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _run(path: Path) -> Record:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        suite, images, environment = facts["suite"], facts["images"], facts["environment"]
        return {
            "run": str(path.parent), "suite": suite["name"], "profile": suite["profile"], "title": suite["title"],
            "images": len(images["ids"]), "digest": images["digest"], "device": environment["device"],
            "torch": environment["torch"], "code": facts["host"],
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(Fault(str(path), "", f"not the record of a run ({type(error).__name__})")) from None


def _scores(run: Mapping[str, Any]) -> Iterator[Record]:
    path = Path(run["run"]) / "scores.jsonl"
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            labels = {k: v if v is None or k in (*NUMBERS, "n") else str(v) for k, v in record.items()}
            yield {"run": run["run"], "suite": run["suite"], "profile": run["profile"], **labels}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise UsageError(Fault(str(path), "", f"cannot read: {reason} (run the suite again)")) from None
