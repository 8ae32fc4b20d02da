"""A metric that changes a network voids its own cells, by name; other cells get the network as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench_core.errors import ContractError
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.run_suite import run
from bench_core.types import Examples, MetricRecipe, Model, Rows, Score, Step
from bench_core.worker.observer import Observer


def perturb(model: Model) -> None:
    for parameter in model.parameters():
        parameter.mul_(0.5)


def write_data(model: Model) -> None:
    next(model.parameters()).data.mul_(0.5)


def replace_storage(model: Model) -> None:
    next(model.parameters()).data = torch.zeros_like(next(model.parameters()))


def add_buffer(model: Model) -> None:
    model.network.register_buffer("seen", torch.zeros(1))


CHANGES: Mapping[str, tuple[Callable[[Model], object], str]] = {
    "weights": (perturb, "parameters or buffers"),
    "storage": (replace_storage, "parameters or buffers"),
    "buffers": (add_buffer, "parameters or buffers"),
    "data": (write_data, "data"),
    "mode": (nn.Module.train, "mode"),
    "frozen": (nn.Module.requires_grad_, "requires_grad"),
}


class Changing:
    scores = ("value",)

    def __init__(self, how: str) -> None:
        self.change = CHANGES[how][0]

    def observe(self, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        self.change(target)
        return {"value": clean.labels.float()}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield Score("value", float(rows["value"].mean()), 0, 1, len(rows["value"]))


class ChangingLater:
    """Changes its target at the second step of an attack, when networks are no longer compared at each observation."""

    scores = ("value",)

    def observe(self, step: Step, clean: Examples, target: Model) -> Mapping[str, Tensor]:
        if step.index == 2:
            perturb(target)
        return {"value": clean.labels.float()}

    def summarise(self, rows: Rows) -> Iterator[Score]:
        yield Score("value", float(rows["value"].mean()), 0, 1, len(rows["value"]))


class Plugin:
    @hookimpl
    def bench_metrics(self) -> Mapping[str, MetricRecipe]:
        return {
            "changing": MetricRecipe(Changing, "changes its target"),
            "changing_later": MetricRecipe(ChangingLater, "changes its target later"),
        }


@pytest.mark.parametrize("how", CHANGES)
def test_a_metric_that_changes_its_target_is_void(how: str, registry: Registry, write_suite, tmp_path: Path) -> None:
    registry.register(Plugin(), Origin("changing", "tests", "1", "changing-source"))
    rows = ("[metrics]\n", f'[metrics]\nfirst = {{ recipe = "changing", how = "{how}" }}\n')
    result = run(write_suite(rows), out=tmp_path / "out", registry=registry, executor="inline")
    good = run(write_suite(name="good"), out=tmp_path / "good", registry=registry, executor="inline")
    void = {score.metric.partition(".")[0]: score.void for score in result.scores if score.void}
    assert set(void) == {"first"}
    expected = "changed the target's {}" if how != "data" else 'of "A" were changed, through parameter.{}'
    assert expected.format(CHANGES[how][1]) in void["first"]
    sound = [score.record() for score in result.scores if not score.void]
    assert sound == [score.record() for score in good.scores]


def test_a_metric_that_changes_its_target_later_is_void(registry: Registry, write_suite, tmp_path: Path) -> None:
    registry.register(Plugin(), Origin("changing", "tests", "1", "changing-source"))
    rows = ("[metrics]\n", '[metrics]\nfirst = { recipe = "changing_later" }\n')
    result = run(write_suite(rows), out=tmp_path / "out", registry=registry, executor="inline")
    good = run(write_suite(name="good"), out=tmp_path / "good", registry=registry, executor="inline")
    void = [score for score in result.scores if score.void]
    assert {score.metric.partition(".")[0] for score in void} == {"first"}
    assert all("the metric changed the target's parameters or buffers" in score.void for score in void)
    assert [score.record() for score in result.scores if not score.void] == [score.record() for score in good.scores]


@pytest.mark.parametrize("attacked", [False, True])
def test_a_change_after_the_first_step_is_found_at_the_end_or_at_once(attacked: bool) -> None:
    """At once in a network that the attack computes with, which is compared at each step."""
    target, clean = nn.Linear(2, 2).requires_grad_(False), Examples(torch.zeros(1, 2), torch.zeros(1).long(), ("a",))
    source = target if attacked else nn.Linear(2, 2)
    observer = Observer("key", ChangingLater(), source=source, target=target)
    observer.step(Step(1, clean.images), clean)
    named = pytest.raises(ContractError, match="the metric changed the target's parameters or buffers")
    if attacked:
        with named:
            observer.step(Step(2, clean.images), clean)
        return
    observer.step(Step(2, clean.images), clean)
    with named:
        observer.arrays()
