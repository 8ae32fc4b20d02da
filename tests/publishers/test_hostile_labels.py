"""A stranger's run: whatever its labels and texts are, publishers write below their folder, and no markup."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench_core import run
from bench_core.registry import Registry
from bench_core.runs.finished import FinishedRun, load_finished

LABEL = "<img src=x onerror=alert(1)> `x` | ../../up [a](b) <!-- bench: end -->"
REPRODUCE = "bench run '`<script>alert(1)</script>` <!-- bench: end -->'"
PUBLISHERS: dict[str, dict[str, Any]] = {
    "eval-results": {"dataset": "lab/data"},
    "model-card": {},
    "every-eval-ever": {"organisation": "<b>lab</b>", "developer": "../..", "lower": ["transfer.success"]},
    "tensorboard": {},
    "mlflow": {},
    "wandb": {},
}


@pytest.fixture
def finished(registry: Registry, write_suite: Callable[..., str], tmp_path: Path) -> FinishedRun:
    """A run with markup in every label, as an interrupted attempt to harm its readers."""
    odd = json.dumps(LABEL)
    suite = write_suite(
        ('"B" =', f"{odd} ="), ('sources = ["A", ["A", "B"]]', 'sources = ["A"]'),
        ('targets = ["A", "B"]', f'targets = ["A", {odd}]'), ('title = "toy"', f"title = {odd}"),
        ('name = "main"', f"name = {odd}"),
    )  # fmt: skip
    folder = run(suite, out=tmp_path / "results", registry=registry, executor="inline").folder
    record = json.loads((folder / "run.json").read_text())
    record |= {"reproduce": REPRODUCE, "notes": [LABEL], "warnings": [LABEL]}
    (folder / "run.json").write_text(json.dumps(record))
    return load_finished(folder, registry)


@pytest.mark.parametrize("name", PUBLISHERS)
def test_files_stay_below_the_folder_and_documents_have_no_markup(publish, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.parent.iterdir())
    publish(name, **PUBLISHERS[name])
    assert set(tmp_path.parent.iterdir()) == before
    for path in tmp_path.rglob("README.md"):
        body = path.read_text().rpartition("\n---\n")[2]  # below the metadata, which is YAML and no document
        assert "<img" not in body
        assert "<script" not in body.replace(f"`` {REPRODUCE} ``", "")
        assert body.count("<!-- bench: end -->") == 2, "one in the command, which is code"


def test_publishing_a_card_again_replaces_the_same_section(publish, tmp_path: Path) -> None:
    publish("model-card")
    cards = {path: path.read_text() for path in tmp_path.glob("huggingface/*/README.md")}
    assert len(cards) == 2
    publish("model-card")
    assert {path: path.read_text() for path in cards} == cards


@pytest.mark.parametrize("name", PUBLISHERS)
def test_an_infinite_score_is_published_or_left_out(
    publish, finished: FinishedRun, tmp_path, name, monkeypatch
) -> None:
    """Such as the median distance of an attack that fools half of the images at most."""
    records = FinishedRun.records

    def infinite(self: FinishedRun) -> list[dict[str, Any]]:
        return [{**record, "value": math.inf, "high": math.inf} for record in records(self)]

    monkeypatch.setattr(FinishedRun, "records", infinite)
    cells = [
        replace(
            table,
            rows=tuple((labels, tuple(replace(cell, value=math.inf) for cell in row)) for labels, row in table.rows),
        )
        for table in finished.result.tables
    ]
    monkeypatch.setattr(FinishedRun, "tables", property(lambda _self: cells))
    publish(name, **PUBLISHERS[name])
    for path in tmp_path.rglob("every-eval-ever/**/*.json"):
        json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
