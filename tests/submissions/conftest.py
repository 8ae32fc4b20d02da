"""A run of the toys, and ways to change a copy of it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench_core import run
from bench_core.errors import UsageError
from bench_core.executors.inline import Inline
from bench_core.progress import Silent
from bench_core.scores.rows import RowSet, pack_rows, unpack_rows
from bench_core.submissions.check import check
from bench_core.submissions.contents import read_contents
from bench_core.submissions.prepare import Request
from bench_core.submissions.unpack import unpacked
from bench_core.submissions.verify import Verification, verify


@pytest.fixture
def folder(write_suite, registry, tmp_path: Path) -> Path:
    """The folder of a run, away from its store."""
    suite = write_suite(("micro_batch = 5", "micro_batch = 2"))
    made = run(suite, out=tmp_path / "results", executor="inline", registry=registry).folder
    shutil.rmtree(tmp_path / "results" / "store")
    return made


@pytest.fixture
def verified(registry) -> Callable[..., Verification]:
    """Return a function that verifies a run in this process."""

    def of(path: Path, **options: object) -> Verification:
        with unpacked(path) as opened:
            request = Request(**options)  # type: ignore[arg-type]
            return verify(opened, read_contents(opened), request, registry, Inline(registry), Silent())

    return of


@pytest.fixture
def faults_of(registry) -> Callable[[Path], list[str]]:
    """Return a function that checks a submission, and returns what is wrong with it."""

    def of(path: Path) -> list[str]:
        try:
            with unpacked(path) as opened:
                check(opened, read_contents(opened), registry)
        except UsageError as error:
            return list(map(str, error.faults))
        return []

    return of


@contextmanager
def changed_rows(folder: Path) -> Iterator[list[RowSet]]:
    """Yield a run's rows, whose arrays can be changed, and write them back."""
    path = folder / "rows.safetensors"
    rows = [
        replace(row, arrays={name: array.copy() for name, array in row.arrays.items()})
        for row in unpack_rows(str(path))
    ]
    yield rows
    path.write_bytes(pack_rows(rows))
