"""Reads the files of a submission, which may hold anything, and finds what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..digests import digest
from ..errors import Fault, UsageError, stop_at_faults
from ..planning.specs import SHA256
from ..runs.folder import OTHER_RUNS_FILE, RECORD_FILE, ROWS_FILE
from ..runs.record import RunRecord, read_record
from ..scores.labels import Labels
from ..scores.rows import RowSet, unpack_rows
from ..suite.model import Suite
from .limits import record_faults
from .texts import LONGEST_LABEL, text_faults
from .unpack import Unpacked

LARGEST_HEADER = 64 * 2**20  # bytes of the list of arrays in the file of rows
MOST_SETS = 200_000  # of a suite: metrics for each source, attack, budget and target
LONGEST_MESSAGE, MOST_FAULTS = 300, 20
CODE = re.compile(r"\.pyw?(:|\s*$)", re.IGNORECASE)  # `net.py:build`, an option of networks from a Python file
PATH = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|(.*[/\\])?\.\.([/\\]|$)")


@dataclass(frozen=True)
class Contents:
    """What the files of a submission say."""

    record: RunRecord
    rows: list[RowSet]


def read_contents(
    unpacked: Unpacked, data: str | None = None, trust_paths: bool = False, computes: bool = True, limited: bool = True
) -> Contents:
    """Read a submission's record and rows.

    Args:
        unpacked: The submission.
        data: The folder of images, in place of the one that the submission names.
        trust_paths: Whether the paths that it names may be opened, and Python files be run.
        computes: Whether its networks will be built, which runs the Python files that it names.
        limited: Whether the work that it asks for is limited (`limits.py`).

    Raises:
        UsageError: with all faults found, each in one line of limited length.
    """
    try:
        record = read_record(unpacked.folder)
        record = record if data is None else _with_data(record, "")
        paths = [] if trust_paths else _path_faults(record.suite, computes)
        work = record_faults(record) if limited else ()
        stop_at_faults([*_record_faults(record), *text_faults(record), *paths, *work])
        for name in (ROWS_FILE, OTHER_RUNS_FILE):
            _stop_at_long_header(unpacked, name)
        rows = unpack_rows(str(unpacked.folder / ROWS_FILE))
        stop_at_faults(list(_row_faults(rows, record)))
        return Contents(record if data is None else _with_data(record, data), rows)
    except UsageError as error:
        raise in_one_line_each(error, unpacked) from None
    except Exception as error:  # a stranger's file: whatever it makes our readers raise is the file's fault
        raise UsageError(Fault(unpacked.name, "", f"damaged: {type(error).__name__}: {str(error)[:200]}")) from None


def in_one_line_each(error: UsageError, unpacked: Unpacked) -> UsageError:
    """Return an error with faults of limited number and length, that name the submission as the user does."""
    faults = [
        Fault(
            (fault.where.replace(str(unpacked.folder), unpacked.name) or unpacked.name)[:LONGEST_LABEL],
            fault.key[:LONGEST_LABEL],
            fault.message.replace(str(unpacked.folder), unpacked.name)[:LONGEST_MESSAGE],
        )
        for fault in error.faults
    ]
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], Fault(unpacked.name, "", f"{len(faults) - MOST_FAULTS} further faults")]
    return UsageError(*faults)


def _with_data(record: RunRecord, data: str) -> RunRecord:
    options = record.suite.data.model_dump() | {"root": data}
    suite = record.suite.model_copy(update={"data": record.suite.data.model_validate(options)})
    return record.model_copy(update={"suite": suite})


def _record_faults(record: RunRecord) -> Iterator[Fault]:
    """Find digests, counts and positions of the record that contradict each other."""
    images, count = record.images, len(record.images.ids)
    if not count == len(images.indices) == len(record.truth):
        yield Fault(RECORD_FILE, "images", "the numbers of ids, indices and classes differ")
    if not all(SHA256.fullmatch(image) for image in images.ids):
        yield Fault(RECORD_FILE, "images.ids", "not all are SHA-256 digests")
    if digest(images.ids) != images.digest:
        yield Fault(RECORD_FILE, "images.digest", "is not that of the list")
    if len(set(images.indices)) < len(images.indices) or len(set(images.ids)) < count:
        yield Fault(RECORD_FILE, "images", "an image is listed twice")
    if not all(0 <= index < record.dataset.count for index in images.indices):
        yield Fault(RECORD_FILE, "images.indices", "an image is outside the dataset")
    if count == 0:
        yield Fault(RECORD_FILE, "images", "no image was attacked")
    if record.limit is not None and record.limit < count:
        yield Fault(RECORD_FILE, "limit", f"found {record.limit}, but {count} images were attacked")
    if images.planned is not None and not count <= images.planned <= record.dataset.count:
        yield Fault(RECORD_FILE, "images.planned", f"found {images.planned}, but {count} images were attacked")
    if row_sets(record.suite) > MOST_SETS:
        yield Fault(RECORD_FILE, "suite", f"has more than {MOST_SETS:,} combinations of labels")


def row_sets(suite: Suite) -> int:
    """Return the largest number of sets of rows that a run of a suite can have."""
    attacked = len(suite.sources) * len(suite.attacks) * max(1, len(suite.budgets)) + len(suite.given)
    models = len({*suite.all_models, *suite.models})
    return attacked * (1 + len(suite.metrics) * max(1, len(suite.targets))) + models * (2 + len(suite.metrics))


def _path_faults(suite: Suite, computes: bool) -> Iterator[Fault]:
    """Find options that lead to files outside the working folder: a stranger does not choose what is opened here.

    A Python file is code that runs, and the working folder may be the stranger's too: a checkout of a pull request.
    """
    entries: dict[str, Any] = {"data": suite.data.options}
    for key in ("models", "attacks", "metrics", "given"):
        entries |= {f"{key}.{label}": entry.model_dump(mode="json") for label, entry in getattr(suite, key).items()}
    for key, options in entries.items():
        for text in _texts(options):
            if PATH.match(text):
                hint = "(try --data DIR, your folder of images)" if key == "data" else "(try --trust-paths, if you do)"
                message = f"names a place outside the working folder: {text[:60]} {hint}"
                yield Fault(RECORD_FILE, f"suite.{key}", message)
            elif computes and CODE.search(text):
                message = f"names code that would run here: {text[:60]} (try --trust-paths, if you trust its author)"
                yield Fault(RECORD_FILE, f"suite.{key}", message)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _stop_at_long_header(unpacked: Unpacked, name: str) -> None:
    path = unpacked.folder / name
    if not path.exists():
        return
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > LARGEST_HEADER:
        raise UsageError(Fault(name, "", f"its list of arrays is larger than {LARGEST_HEADER >> 20} MiB"))


def _row_faults(rows: Sequence[RowSet], record: RunRecord) -> Iterator[Fault]:
    """Find more sets than the suite has, values of images that the run has not, and metrics of other names."""
    most = row_sets(record.suite)
    if len(rows) > most:
        yield Fault(ROWS_FILE, "", f"has {len(rows):,} sets of rows, but the suite gives at most {most:,}")
        return
    seen = set[tuple[str, Labels, str]]()
    for row in rows:
        key = row.metric, row.labels, row.images.over
        if key in seen:
            shown = json.dumps(dict(row.labels))[:LONGEST_LABEL]
            yield Fault(ROWS_FILE, str(row.metric)[:LONGEST_LABEL], f"has two sets of rows of {shown}")
        seen.add(key)
        count = {"all": record.dataset.count, "selected": len(record.images.ids)}.get(row.images.over, 0)
        lengths = {len(array) if array.ndim else -1 for array in row.arrays.values()}
        indices = row.images.indices
        wrong = len(indices) and (
            indices.min() < 0 or indices.max() >= count or len(set(indices.tolist())) < len(indices)
        )
        if wrong or lengths - {len(indices)}:
            shown = json.dumps(dict(row.labels))[:LONGEST_LABEL]
            yield Fault(ROWS_FILE, str(row.metric)[:LONGEST_LABEL], f"has values of images that the run lacks: {shown}")
