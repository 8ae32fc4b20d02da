"""The costs in docs/scaling.md are those of `bench plan`."""

import re
from pathlib import Path

import pytest

from bench_core import load_suite
from bench_core.planning.describe import plan_record
from bench_core.planning.plan import make_plan
from bench_core.registry import Registry
from bench_core.run_suite import resolve_suite
from bench_core.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
ROWS = re.findall(r"\| `(transfer_\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|", PAGE.read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_passes_of_the_full_tables(
    row: tuple[str, ...], installed: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm")
    monkeypatch.delenv("BENCH_DATA", raising=False)
    groups = plan_record(make_plan(resolve_suite(load_suite(row[0], "imagenet"), installed), Store(tmp_path)))["groups"]
    counts = [sum(group[name] for group in groups) for name in ("forwards", "backwards", "evaluations")]
    assert row[1:5] == tuple(f"{count / 1e6:.1f}" for count in (*counts, sum(counts)))
    assert row[5] == f"{sum(counts) / 2000 / 3600:.0f}"


def test_a_part_of_a_table_can_be_run_alone(installed: Registry) -> None:
    pytest.importorskip("timm")
    resolved = resolve_suite(load_suite("transfer_table1", "imagenet", ['sources=["RN-34"]']), installed)
    assert {(source, budget) for _, source, budget in resolved.attacks} == {("RN-34", "linf"), ("RN-34", "l2")}


def test_the_page_has_all_tables() -> None:
    assert len(ROWS) == 4
