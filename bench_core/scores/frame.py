"""Scores as a data frame of the library that is installed."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import Fault, UsageError, did_you_mean

LIBRARIES = ("pandas", "polars", "pyarrow")
NUMBERS = ("value", "low", "high")
LAST = ("value", "low", "high", "n", "void")


def frame_of(records: Sequence[Mapping[str, Any]], library: str | None = None) -> Any:
    """Return records as a data frame, with the labels first and the numbers last.

    Args:
        records: Those of `Result.records`.
        library: One of `LIBRARIES`; by default the first that is installed.

    Raises:
        UsageError: The library, or every one of them, is not installed.
    """
    columns = columns_of(records)
    match _installed(library):
        case "pandas":
            return importlib.import_module("pandas").DataFrame(columns)
        case "polars":
            polars = importlib.import_module("polars")
            return polars.DataFrame(columns, schema_overrides=dict.fromkeys(NUMBERS, polars.Float64), strict=False)
        case _:
            return importlib.import_module("pyarrow").table(columns)


def columns_of(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    """Return the records column by column. A missing number is NaN, everything else that is missing is None."""
    names = dict.fromkeys(name for record in records for name in record if name not in LAST)
    columns: dict[str, list[Any]] = {name: [record.get(name) for record in records] for name in names}
    for name in NUMBERS:
        columns[name] = [math.nan if record[name] is None else float(record[name]) for record in records]
    return columns | {name: [record[name] for record in records] for name in ("n", "void")}


def _installed(library: str | None) -> str:
    """Return the library to use. Raises UsageError if it is unknown or not installed."""
    if library is not None and library not in LIBRARIES:
        raise UsageError(Fault("frame", "", f'unknown library "{library}" {did_you_mean(library, LIBRARIES)}'))
    wanted = LIBRARIES if library is None else (library,)
    found = next((name for name in wanted if importlib.util.find_spec(name) is not None), None)
    if found is None:
        message = f"{' or '.join(wanted)} is not installed (try pip install {wanted[0]}, or records() for plain data)"
        raise UsageError(Fault("frame", "", message))
    return found
