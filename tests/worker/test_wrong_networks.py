"""A network that is wrong in one way is named, and touches no row of another network."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench_core import run
from bench_core.errors import UsageError
from bench_core.registry import Origin, Registry
from bench_core.reserved import EXAMINED
from bench_core.result import Result
from bench_core.runs.record import read_record
from tests.toys import ToyImages

from .wrong_networks import WRONG, Wrong, WrongNetworks

NOT_LOGITS = {"tuple": "a tuple", "dict": "a dict", "nothing": "nothing", "classes": "int64", "flat": "shape"}
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
    if how in NOT_LOGITS:
        with pytest.raises(UsageError):
            run(suite(how), out=tmp_path / "company", registry=registry, executor="inline")
    else:
        company = run(suite(how), out=tmp_path / "company", registry=registry, executor="inline")
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
    for row in attacks:
        own = row.labels["source"] == "W" or (where == "any" and row.labels.get("target") == "W")
        assert bool(row.void) == own, (row.metric, dict(row.labels), row.void)
        assert not row.void or re.search(reason, row.void), row.void


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


@pytest.mark.parametrize(("how", "kind"), FLAGS.items())
def test_what_can_be_scored_is_flagged_and_names_the_network(
    how: str, kind: str, suite: Any, registry: Registry, tmp_path: Path
) -> None:
    result = run(suite(how), out=tmp_path, registry=registry, executor="inline")
    found = [warning for warning in result.warned if kind in warning.kind]
    assert [warning.network for warning in found] == ["W"]
    assert any(kind in line and '"W"' not in line for line in read_record(result.folder).warnings)
    assert not any(kind in warning.kind for warning in result.warned if warning.network != "W")
    if how not in VOIDS:
        assert result.complete, result.voids


@pytest.mark.parametrize("how", ["normalised_in_place", "normalised_in_data", "normalised_in_numpy", "float64"])
def test_a_network_that_can_be_mended_has_the_rows_of_its_right_twin(
    how: str, suite: Any, registry: Registry, tmp_path: Path
) -> None:
    twin = {"float64": "right"}.get(how, "normalised" if how == "normalised_in_place" else "shifted")
    wrong, right = (run(suite(each), out=tmp_path / each, registry=registry, executor="inline") for each in (how, twin))
    assert same(rows_of(wrong, ("A", "B", "W")), rows_of(right, ("A", "B", "W")))


def test_an_image_in_company_is_compared_with_the_image_alone(suite: Any, registry: Registry, tmp_path: Path) -> None:
    result = run(suite("batch_statistics"), out=tmp_path, registry=registry, executor="inline")
    (gap,) = [row.arrays["batch_gap"] for row in result.rows if row.metric == EXAMINED and row.labels["target"] == "W"]
    images = torch.from_numpy(ToyImages().load(range(8)))
    network = Wrong("batch_statistics")
    together = network(torch.from_numpy(ToyImages().load(range(20))))[:8]
    alone = torch.cat([network(image[None]) for image in images])
    assert np.allclose(gap[:8], ((alone - together).abs().amax(1) / together.abs().amax(1)).numpy(), rtol=1e-4)
    assert not gap[8:].any()
    (warning,) = [warning for warning in result.warned if "batch" in warning.kind]
    assert f"{100 * gap.max():.2g}%" in str(warning)


def test_an_attack_is_not_blamed_for_what_a_network_changes_in_itself(
    suite: Any, registry: Registry, tmp_path: Path
) -> None:
    result = run(
        suite("running_statistics", sources='["A", "W", ["A", "W"]]'),
        out=tmp_path,
        registry=registry,
        executor="inline",
    )
    assert result.complete, result.voids


BRIDGED = (
    "torchattacks:PGD",
    "torchattacks:MIFGSM",
    "torchattacks:APGD",
    "foolbox:LinfProjectedGradientDescentAttack",
    "autoattack",
)


@pytest.mark.parametrize("attack", BRIDGED)
@pytest.mark.parametrize("how", ["root_of_black", "nan_when_attacked"])
def test_a_library_attacks_no_network_whose_nan_it_swallows(
    how: str, attack: str, suite: Any, registry: Registry, tmp_path: Path
) -> None:
    if attack not in registry.names("attacks"):
        pytest.skip("installed without the extra")
    options = ', only = ["apgd-ce"]' if attack == "autoattack" else ""
    written = suite(how, attack=f'{{ recipe = "{attack}"{options} }}')
    result = run(written, out=tmp_path, registry=registry, executor="inline")
    where, reason = VOIDS[how]
    for row in (row for row in result.rows if row.labels.get("attack")):
        own = row.labels["source"] == "W" or (where == "any" and row.labels.get("target") == "W")
        assert bool(row.void) == own, (row.metric, dict(row.labels), row.void)
        assert not row.void or re.search(reason, row.void), row.void
