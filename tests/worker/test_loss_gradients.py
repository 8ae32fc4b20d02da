"""An attack whose loss has a gradient of NaN is void, also where it replaces the NaN by zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.run_suite import run
from bench_core.types import AttackRecipe, Budget, Examples, Model, Streams


class Replacing:
    """Ascends `loss` plus the square root of a value that is 0, whose gradient is NaN, and replaces the NaN by 0."""

    def __init__(self, budget: Budget, root: bool) -> None:
        self.budget, self.root = budget, root

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        images = examples.images.clone().requires_grad_(True)
        logits = model(images)
        loss = torch.nn.functional.cross_entropy(logits, examples.labels, reduction="sum")
        if self.root:
            loss = loss + (logits[0] * 0).sum().sqrt()
        (gradient,) = torch.autograd.grad(loss, images)
        yield (examples.images + self.budget.eps * gradient.nan_to_num(0).sign()).clamp(0, 1)


class Plugin:
    @hookimpl
    def bench_attacks(self) -> Mapping[str, AttackRecipe]:
        def build(budget: Budget, root: bool) -> Replacing:
            return Replacing(budget, root)

        return {"replacing": AttackRecipe(build, "replaces NaN by zero")}


@pytest.mark.parametrize("root", [False, True])
def test_a_gradient_of_nan_from_the_loss_is_void(root: bool, registry: Registry, write_suite, tmp_path: Path) -> None:
    registry.register(Plugin(), Origin("replacing", "tests", "1", "replacing-source"))
    suite = write_suite(('recipe = "pgd"', f'recipe = "replacing", root = {str(root).lower()}'))
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    reasons = {score.void for score in result.scores if score.void}
    assert bool(reasons) == root, reasons
    assert all("the attack's loss has a gradient of NaN or infinity" in reason for reason in reasons), reasons
