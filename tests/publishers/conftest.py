"""A finished run of the toys with a void cell, and a machine that can reach no other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench_core import run
from bench_core.registry import Registry
from bench_core.runs.finished import FinishedRun, load_finished


@pytest.fixture
def finished(registry: Registry, write_suite: Callable[..., str], tmp_path: Path) -> FinishedRun:
    suite = write_suite(('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"bad" = { recipe = "bad_nan" }'))
    run(suite, out=tmp_path / "results", registry=registry, executor="inline")
    return load_finished(tmp_path / "results" / "toy" / "toy", registry)


@pytest.fixture
def publish(registry: Registry, finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that publishes the run with a publisher and its options, offline."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "localhost", "::1"), address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
    monkeypatch.chdir(tmp_path)

    def published(name: str, **options: Any) -> str:
        if ("publishers", name) not in registry.offers:
            pytest.skip("; ".join(each.reason for each in registry.unavailable if each.plugin == name))
        offer = registry.find("publishers", name, "--to", "")
        checked, faults = offer.check(options, f"--to {name}", "")
        assert not faults
        return str(offer.build(**checked).publish(finished))

    return published


@pytest.fixture
def cells(finished: FinishedRun) -> dict[str, Any]:
    """The cells of the run's table that have a value, by row and column."""
    (table,) = finished.tables
    columns = table.header[table.dimensions :]
    found = {
        "/".join([table.name, *labels, column]): cell
        for labels, row in table.rows
        for column, cell in zip(columns, row, strict=True)
    }
    assert any(cell.void for cell in found.values())
    return {name: cell for name, cell in found.items() if not cell.void and cell.value == cell.value}
