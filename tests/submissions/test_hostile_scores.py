"""Submissions whose scores are not those of their rows: one line for each fault."""

import json
from pathlib import Path

import pytest


def test_better_scores_than_the_rows_give_are_found(folder: Path, faults_of) -> None:
    path = folder / "scores.jsonl"
    lines = path.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if '"transfer.success"' in line)
    lines[number] = json.dumps(json.loads(lines[number]) | {"value": 0.123})
    path.write_text("\n".join(lines) + "\n")
    (fault,) = faults_of(folder)
    assert f"scores.jsonl: line {number + 1}: transfer.success: value is 0.123, but the rows give" in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}\n" * 100_000, "has more scores, but the rows give"),
        ("", "has 0 scores, but the rows give"),
        ("[]\n", "line 1: is no score"),
        ("[" + "[]," * 100_000 + "[]]\n", "line 1: is no score"),
    ],
)
def test_scores_are_read_no_further_than_there_should_be_some(folder, faults_of, monkeypatch, text, said) -> None:
    (folder / "scores.jsonl").write_text(text)
    (fault,) = faults_of(folder)
    assert f"scores.jsonl: {said}" in fault
