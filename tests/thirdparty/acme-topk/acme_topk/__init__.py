"""Sign steps on the share of an image's pixels where the gradient is largest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Le

from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe, Budget, Cost, Examples, Model, Streams

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch

BENCH_API_VERSION = 1


@dataclass(frozen=True)
class TopK:
    """In L-inf; the rest of the pixels stay where they are for that step."""

    budget: Budget
    share: float
    cost = Cost(forwards=1, backwards=1)

    def check(self, _shape: tuple[int, int, int]) -> str | None:
        return None if self.budget.norm == "linf" else 'recipe: bounded in linf (try norm = "linf")'

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        budget, clean = self.budget, examples.images
        low, high = (clean - budget.eps).clamp(0, 1), (clean + budget.eps).clamp(0, 1)
        images = clean
        if budget.random_start:
            images = low + (high - low) * rng.uniform("acme start", 0, clean.shape[1:]).to(clean)
            images = images.clamp(low, high)
        aim, sign = (examples.labels, 1) if examples.targets is None else (examples.targets, -1)
        count = max(1, round(self.share * clean[0].numel()))
        for _ in range(budget.steps):
            images = images.detach().requires_grad_(True)
            loss = sign * torch.nn.functional.cross_entropy(model(images), aim, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, images)
            size = gradient.flatten(1).abs()
            chosen = torch.zeros_like(size).scatter_(1, size.topk(count, dim=1).indices, 1.0).view_as(gradient)
            images = (images.detach() + budget.step_size * gradient.sign() * chosen).clamp(low, high)
            yield images


def top_k(budget: Budget, share: Annotated[float, Gt(0), Le(1)] = 0.5) -> TopK:
    return TopK(budget, share)


@hookimpl
def bench_attacks() -> Mapping[str, AttackRecipe]:
    return {"acme_topk": AttackRecipe(top_k, "Sign steps where the gradient is largest.")}
