"""Passes are counted at every network of a source, however an attack calls it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_core.hookspecs import hookimpl
from bench_core.planning.planner import selected_jobs
from bench_core.planning.selection import first_images
from bench_core.registry import Origin, Registry
from bench_core.run_suite import resolve_suite, run
from bench_core.suite.load import load_suite
from bench_core.types import AttackRecipe, Budget, Cost, Examples, Model, Streams
from bench_core.worker.instrument import PassCounter

Call = Callable[[Model, Tensor], None]


def parts_alone(model: Model, images: Tensor) -> None:
    for member in getattr(model, "members", [model]):
        member(images)


CALLS: Mapping[str, tuple[Call, float]] = {  # and the passes through a single network
    "whole": (lambda model, images: model(images), 1),
    "members": (parts_alone, 1),
    "a copy": (lambda model, images: copy.deepcopy(model)(images), 1),
    "a gradient": (lambda model, images: model(images.requires_grad_(True)).sum().backward(), 1),
    "none": (lambda model, images: None, 0),
    "forward": (lambda model, images: model.forward(images), 0),  # which no hook of the network sees
}


def forward_beside_a_call(model: Model, images: Tensor) -> None:
    model(images)
    model.forward(images)


CALLS = {**CALLS, "forward beside a call": (forward_beside_a_call, 1)}


class Calling:
    """Brightens the images, and calls the network in one way before."""

    def __init__(self, budget: Budget, call: Call) -> None:
        self.budget, self.call = budget, call

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        self.call(model, examples.images.clone())
        yield (examples.images + self.budget.eps).clamp(max=1)


class Free(Calling):
    cost = Cost(0, 0)


class Plugin:
    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        def build(budget: Budget, how: str = "whole", free: bool = False) -> Calling:
            return (Free if free else Calling)(budget, CALLS[how][0])

        return {"calling": AttackRecipe(build, "calls its source in one way")}


@pytest.fixture
def suite(registry: Registry, write_suite: Callable[..., str]) -> Callable[[str], str]:
    registry.register(Plugin(), Origin("calling", "tests", "1", "calling-source"))

    def write(options: str) -> str:
        pair = '"P" = { recipe = "ensemble", members = ["A", "B"], combine = "logits" }\n[budgets.linf]'
        sources = ('["A", ["A", "B"]]', '["A", ["A", "B"], "P"]')
        return write_suite(('recipe = "pgd"', f'recipe = "calling", {options}'), ("[budgets.linf]", pair), sources)

    return write


@pytest.mark.parametrize(("how", "passes"), [(how, passes) for how, (_, passes) in CALLS.items()])
def test_every_call_of_a_network_is_counted(how: str, passes: float, suite, registry, tmp_path: Path) -> None:
    result = run(suite(f'how = "{how}"'), out=tmp_path, registry=registry, executor="inline")
    assert result.complete, result.voids
    sources = {"A": 1, "A+B": 2, "P": 2} if "forward" not in how else {"A": 1}  # an ensemble's calls its members
    for source, networks in sources.items():
        rows = result.arrays("attack", source=source)
        assert np.all(rows["forwards"] == passes * networks), source
        assert np.all(rows["backwards"] == (how == "a gradient") * networks), source
    flagged = {warning.attacked[0] for warning in result.warned if "without a counted pass" in warning.kind}
    assert flagged == (set(sources) if passes == 0 else set())
    around = {warning.attacked[0] for warning in result.warned if "outside of a call" in warning.kind}
    assert around == ({"A"} if "forward" in how else set())


def test_an_attack_that_declares_that_it_needs_no_pass_is_not_flagged(suite, registry, tmp_path: Path) -> None:
    result = run(suite('how = "none", free = true'), out=tmp_path, registry=registry, executor="inline")
    assert not [warning for warning in result.warned if "without a counted pass" in warning.kind]


def test_the_plan_counts_each_member(suite, registry) -> None:
    resolved = resolve_suite(load_suite(suite('how = "whole"')), registry)
    jobs = selected_jobs(resolved, first_images(resolved))
    per_image = {job.labels["source"]: job.cost[0] / job.images for job in jobs if "source" in job.labels}
    assert per_image == {"A": 4, "A+B": 8, "P": 8}, "one forward in each of four steps"


def test_a_backward_pass_is_counted_once_wherever_it_starts_and_ends() -> None:
    below, above = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(below, above)
    kept: list[Tensor] = []
    below.register_forward_hook(lambda _module, _inputs, output: kept.append(output))

    def counted(act: Callable[[Tensor, Tensor], None], calls: int = 1) -> float:
        counter = PassCounter(model)
        with counter.counting():
            for _ in range(calls):
                images = torch.rand(5, 3, requires_grad=True)
                act(images, model(images))
        assert counter.forwards == 5 * calls
        assert not images._backward_hooks
        return counter.backwards / 5

    assert counted(lambda images, logits: grad(logits.sum(), images)) == 1
    assert counted(lambda images, logits: grad(kept[-1].sum(), images)) == 1, "from the features to the images"
    assert counted(lambda images, logits: grad(logits.sum(), kept[-1])) == 1, "from the logits to the features"
    assert counted(lambda images, logits: grad(logits.sum() + kept[-1].sum(), images)) == 1
    assert counted(lambda images, logits: None) == 0
    assert counted(lambda images, logits: grad(kept[-1].sum(), images), calls=3) == 3

    def twice(images: Tensor, logits: Tensor) -> None:
        grad(logits[:, 0].sum(), images)
        grad(logits[:, 1].sum(), images)

    assert counted(twice) == 2


def grad(value: Tensor, at: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(value, at, retain_graph=True)
    return gradient
