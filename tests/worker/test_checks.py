"""On a GPU, checks and rows wait on the device until the end of a job: the host does not wait at every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core.errors import ContractError, NetworkFault
from bench_core.registry import Registry
from bench_core.result import Result
from bench_core.run_suite import run
from bench_core.types import Budget, Examples, Step
from bench_core.worker import checks as module
from bench_core.worker import rows as rows_module
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.checks import Checks
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import CachedForward
from bench_core.worker.observer import Observer
from bench_core.worker.rows import StepRows
from tests.toys import MISBEHAVIOURS, toy_network

READS = ("__bool__", "__float__", "__int__", "__index__", "cpu", "item", "numpy", "tolist")
BUDGET = Budget("linf", 0.1, 0.03, 4)


@contextmanager
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Treat the CPU as a device for which the host has to wait."""
    with monkeypatch.context() as patched:
        patched.setattr(module, "AT_ONCE", frozenset())
        yield


@contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count how often Python reads the values of tensors, which makes the host wait for a GPU."""
    reads: Counter[str] = Counter()

    def counting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def read(*given: Any, **named: Any) -> Any:
            reads[name] += 1
            return original(*given, **named)

        return read

    with monkeypatch.context() as patched:
        for name in READS:
            patched.setattr(Tensor, name, counting(name, getattr(Tensor, name)))
        patched.setattr(torch, "equal", counting("equal", torch.equal))
        yield reads


def rows_of(result: Result) -> bytes:
    return (Path(result.folder) / "rows.safetensors").read_bytes()


@pytest.mark.parametrize("held", [0, 2**26])
def test_rows_that_wait_are_those_that_do_not(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    suite = write_suite(
        ("[metrics]", '[metrics]\nrecovery = { recipe = "recovery" }\nutility = { recipe = "transfer_utility" }')
    )
    at_once = rows_of(run(suite, out=tmp_path / "at once", executor="inline", registry=registry))
    monkeypatch.setattr(rows_module, "HELD", held)
    with waiting(monkeypatch):
        assert rows_of(run(suite, out=tmp_path / "late", executor="inline", registry=registry)) == at_once


def test_the_host_does_not_wait_at_every_step(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(steps: int) -> Counter[str]:
        counted: Counter[str] = Counter()
        suite = write_suite(("steps = 4", f"steps = {steps}"), name=f"steps{steps}")
        steps_of = AttackRun.steps

        def counting(attack: AttackRun) -> Iterator[Tensor]:
            with counted_reads(monkeypatch) as found:
                yield from steps_of(attack)
                counted.update(found)

        with monkeypatch.context() as patched, waiting(monkeypatch):
            patched.setattr(AttackRun, "steps", counting)
            run(suite, out=tmp_path / str(steps), executor="inline", registry=registry)
        return counted

    assert reads(12) == reads(4)


@pytest.mark.parametrize("name", [name for name in MISBEHAVIOURS if name != "exits"])
def test_an_attack_that_breaks_a_rule_has_the_same_reason(
    write_suite: Callable[..., str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    suite = write_suite(('recipe = "pgd"', f'recipe = "bad_{name}"'), ("count = 12", "count = 4"))
    at_once = run(suite, out=tmp_path / "at once", executor="inline", registry=registry).voids
    with waiting(monkeypatch):
        late = run(suite, out=tmp_path / "late", executor="inline", registry=registry).voids
    assert late == at_once
    assert at_once


def test_the_first_wrong_step_is_named_before_what_followed_from_it() -> None:
    clean, checks = torch.full((2, 1, 2, 2), 0.5), Checks("cuda")
    outside = clean.clone()
    outside[1, 0, 0, 0] = 0.8

    def steps() -> None:
        check_images(clean, outside, BUDGET, checks)
        check_images(clean, clean * torch.nan, BUDGET, checks)
        raise ValueError("of the next step")

    with pytest.raises(ContractError, match=r"image 1 lies outside the linf ball: 0\.3"), checks:
        steps()


def test_a_network_that_failed_is_named_first() -> None:
    def fail() -> None:
        raise NetworkFault("A", "answered with NaN")

    checks, clean = Checks("cuda", (fail,)), torch.zeros(1, 1, 1, 1)
    with pytest.raises(NetworkFault), checks:
        check_images(clean, clean * torch.nan, BUDGET, checks)


def test_a_metric_that_writes_into_its_images_is_found_late_too() -> None:
    class Writing:
        def observe(self, step: Step) -> dict[str, Tensor]:
            step.images.mul_(0.5)
            return {"x": step.images.flatten(1).sum(1)}

        def summarise(self, rows: Any) -> list[Any]:
            return []

    checks = Checks("cuda")
    examples = Examples(torch.rand(2, 1, 4, 4), torch.tensor([0, 1]), ("a", "b"))
    with pytest.raises(ContractError, match='changed "step" in place'), checks:
        Observer("key", Writing(), checks).step(Step(1, examples.images.clone()), examples)


def test_rows_that_wait_are_copies_and_are_read_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, value = StepRows(wait=True), torch.arange(3)
    for _ in range(2):
        rows.add({"x": value, "y": value[:, None].float()}, 3)
        value += 40000
    assert not rows.steps
    found = rows.read()
    assert [step["x"].tolist() for step in found] == [[0, 1, 2], [40000, 40001, 40002]]
    assert [step["x"].dtype for step in found] == [np.int16, np.int64]
    monkeypatch.setattr(rows_module, "HELD", 20)
    rows.add({"x": value}, 3)
    assert len(rows.steps) == 3
    rows.add({"z": value[:, None]}, 3)  # of another name and shape
    assert [list(step) for step in rows.read()] == [["x", "y"], ["x", "y"], ["x"], ["z"]]


def test_a_write_into_images_is_seen_by_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = toy_network(), torch.rand(2, 1, 4, 4)
    with waiting(monkeypatch):
        cached = CachedForward(network)
        first = cached(images)
        images.mul_(0.5)
        assert not torch.equal(cached(images), first)
        calls: list[nn.Module] = []
        network.register_forward_hook(lambda module, *_: calls.append(module))
        cached(images)
        assert not calls
