"""A right attack in one class, from which the wrong ones of these tests differ in one part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench_core.types import AttackRecipe, Budget, Cost, Examples, Model, Streams

Gradient = Callable[["Ascent", Model, Tensor, Examples], Tensor]


def usual(_attack: Ascent, model: Model, images: Tensor, examples: Examples) -> Tensor:
    """The gradient of the summed loss; of the targets' likelihood where there are targets."""
    images = images.detach().requires_grad_(True)
    aim, sign = (examples.labels, 1) if examples.targets is None else (examples.targets, -1)
    loss = nn.functional.cross_entropy(model(images), aim, reduction="sum")
    return sign * torch.autograd.grad(loss, images)[0]


def length(tensor: Tensor) -> Tensor:
    return tensor.flatten(1).norm(dim=1).clamp(min=1e-30).view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Ascent:
    """A correct attack under either norm. Each wrong attack changes one part of it."""

    budget: Budget
    gradient: Gradient = usual
    project: Callable[[Tensor, float, str], Tensor] | None = None
    around: Callable[[Model, Examples], None] = lambda _model, _examples: None
    after: Callable[[Tensor, Tensor], Tensor] = lambda images, _clean: images
    starts: bool = True
    early: bool = False
    yields: Callable[[list[Tensor]], list[Tensor]] | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        budget, clean = self.budget, examples.images
        images, late = clean, []
        if budget.random_start and self.starts:
            noise = rng.uniform("start", 0, clean.shape[1:]).to(clean) * 2 - 1
            images = (clean + self.inside(noise * budget.eps)).clamp(0, 1)
        for _ in range(budget.steps):
            if self.early:
                yield images
            gradient = self.gradient(self, model, images, examples)
            self.around(model, examples)
            direction = gradient.sign() if budget.norm == "linf" else gradient / length(gradient)
            inside = self.inside(images + budget.step_size * direction - clean)
            images = self.after((clean + inside).clamp(0, 1), clean)
            late.append(images)
            if not self.early and not self.yields:
                yield images
        yield from self.yields(late) if self.yields else ()

    def inside(self, delta: Tensor) -> Tensor:
        eps = self.budget.eps
        if self.project:
            return self.project(delta, eps, self.budget.norm)
        return delta.clamp(-eps, eps) if self.budget.norm == "linf" else delta * (eps / length(delta)).clamp(max=1)


def recipe(**differences: Any) -> AttackRecipe:
    def build(budget: Budget) -> Ascent:
        return Ascent(budget, **differences)

    return AttackRecipe(build, "An ascent that may be wrong.")


def last(steps: list[Tensor]) -> list[Tensor]:
    return steps[-1:]
