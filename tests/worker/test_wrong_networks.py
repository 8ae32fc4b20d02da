"""A network that is wrong in one way is named, and touches no row of another network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_core.errors import UsageError
from bench_core.executors.dispatch import Incomplete
from bench_core.registry import Origin, Registry
from bench_core.result import Result
from bench_core.run import run

from .wrong_networks import WRONG, WrongNetworks

NOT_LOGITS = {"tuple": "a tuple", "dict": "a dict", "nothing": "nothing", "classes": "int64", "flat": r"shape \(20,\)"}
NEVER_RIGHT = {**NOT_LOGITS}
ATTACK_KINDS = {"eps = 0.1": "eps = 0.3", "step_size = 0.03": "step_size = 0.1"}  # so that white pixels are reached

Write = Callable[..., str]


@pytest.fixture
def suite(registry: Registry, write_suite: Write) -> Callable[[str | None], str]:
    """Return a function that writes the suite of two innocent networks, with a wrong one in between or without."""
    registry.register(WrongNetworks(), Origin("wrong", "tests", "1", "wrong-source"))

    def write(how: str | None, sources: str = '["A", "W"]', attack: str = '{ recipe = "pgd" }') -> str:
        changes = [*ATTACK_KINDS.items(), ('{ recipe = "pgd" }', attack)]
        robust = 'robust = { recipe = "robust_accuracy" }\nutility = { recipe = "transfer_utility" }\n'
        changes.append(("clean = {", f"{robust}clean = {{"))
        if how is None:
            changes.append(('sources = ["A", ["A", "B"]]', 'sources = ["A"]'))
            return write_suite(*changes, name="alone")
        changes.append(('"A" = {', f'"W" = {{ recipe = "wrong", how = "{how}" }}\n"A" = {{'))
        changes.append(('sources = ["A", ["A", "B"]]', f"sources = {sources}"))
        changes.append(('targets = ["A", "B"]', 'targets = ["W", "A", "B"]'))
        return write_suite(*changes, name="company")

    return write


def rows_of(result: Result, labels: tuple[str, ...] = ("A", "B")) -> dict[str, dict[str, np.ndarray]]:
    """Return the rows that are about these networks alone."""
    found = {}
    for row in result.rows:
        about = {row.labels.get("source"), row.labels.get("target")} - {None}
        if about <= set(labels) and row.metric != "host:sanity":
            assert not row.void, (row.metric, dict(row.labels), row.void)
            found[f"{row.metric} {dict(row.labels)}"] = dict(row.arrays)
    return found


def same(first: dict[str, dict[str, np.ndarray]], second: dict[str, dict[str, np.ndarray]]) -> bool:
    return first.keys() == second.keys() and all(
        first[key].keys() == second[key].keys()
        and all(np.array_equal(first[key][name], second[key][name], equal_nan=True) for name in first[key])
        for key in first
    )


@pytest.mark.parametrize("how", WRONG)
def test_the_innocent_have_the_same_rows_alone_in_company_and_from_the_store(
    how: str, suite: Any, registry: Registry, tmp_path: Path
) -> None:
    alone = rows_of(run(suite(None), out=tmp_path / "alone", registry=registry, executor="inline"))
    assert len(alone) > 5
    try:
        company = run(suite(how), out=tmp_path / "company", registry=registry, executor="inline")
    except (UsageError, Incomplete) as stopped:
        assert how in NOT_LOGITS, stopped
    else:
        assert how not in NOT_LOGITS
        assert same(alone, {key: rows for key, rows in rows_of(company).items() if key in alone})
    again = rows_of(run(suite(None), out=tmp_path / "company", registry=registry, executor="inline"))
    assert same(alone, again)


@pytest.mark.parametrize(("how", "found"), NOT_LOGITS.items())
def test_an_answer_that_is_no_logits_is_one_line_about_its_network(
    how: str, found: str, suite: Any, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=rf"^models\.W: answered with {found}.*not logits"):
        run(suite(how), out=tmp_path, registry=registry, executor="inline")


VOIDS = {
    "root_of_black": ("source", r'^the network "W" has a gradient of NaN or infinity for \d+ of \d+ images'),
    "nan_when_attacked": ("any", r'^the network "W" answered with NaN or infinity for \d+ of \d+ images'),
    "raising_when_attacked": ("any", r'^the network "W" raised TypeError: not these images'),
    "tuple_when_attacked": ("any", r'^the network "W" answered with a tuple, not logits'),
}


@pytest.mark.parametrize(("how", "where", "reason"), [(how, *rest) for how, rest in VOIDS.items()])
def test_what_cannot_be_scored_is_void_and_names_the_network(
    how: str, where: str, reason: str, suite: Any, registry: Registry, tmp_path: Path
) -> None:
    result = run(suite(how), out=tmp_path, registry=registry, executor="inline")
    attacks = [row for row in result.rows if row.labels.get("attack")]
    touched = [row for row in attacks if "W" in (row.labels.get("source"), row.labels.get("target") * (where == "any"))]
    assert {row.metric for row in touched} > {"transfer", "robust"}
    assert all(row.void for row in attacks if row.labels["source"] == "W")
    for row in attacks:
        assert bool(row.void) == (row in touched), (row.metric, dict(row.labels), row.void)
        if row.void:
            pytest.fail(row.void) if not __import__("re").search(reason, row.void) else None


FLAGS = {
    "root_of_black": "the network's input gradient is NaN or infinite",
    "normalised_in_place": "the network changes its input in place",
    "normalised_in_data": "the network changes its input in place",
    "normalised_in_numpy": "the network changes its input in place",
    "batch_statistics": "depends on the other images of the batch",
    "running_statistics": "the network changes itself at every forward",
    "in_autocast": "the network answers in bfloat16",
    "float16": "the network answers in float16",
    "bfloat16": "the network answers in bfloat16",
    "float64": "the network answers in float64",
}
