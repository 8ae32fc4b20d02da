"""From an adversarial image back to the true label."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench_core.types import Budget, Cost, Examples, Streams

from .descent import Descent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class ThereAndBack:
    """Projected gradient ascent for the first half of the budget's steps, rounded up, within half its eps; then for the
    other half, from the adversarial images and within as much of *them*, towards the true label
    (arXiv:2103.07364, sec. 4.3 and app. I.10).

    The images of both halves are inside the budget's ball, as the host has it.
    """

    budget: Budget

    @property
    def turn(self) -> int:
        """After how many steps it turns back."""
        return self.budget.steps - self.budget.steps // 2

    @property
    def cost(self) -> Cost:
        return Cost(1, 1, forwards_once=1)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images [n, c, h, w] after each step.

        Returns `reached` [n], whether the network is right about the last images, and `zero_gradients` [n], how many
        steps met a gradient of zero.
        """
        half = replace(self.budget, eps=self.budget.eps / 2)
        reached = examples.images

        def through(descent: Descent, start: Examples) -> Generator[Tensor, None, Tensor]:
            nonlocal reached
            steps = descent(model, start, rng)
            while True:
                try:
                    reached = next(steps)
                except StopIteration as end:
                    zeros: Tensor = end.value["zero_gradients"]
                    return zeros
                yield reached

        zeros = yield from through(Descent.plain(replace(half, steps=self.turn)), examples)
        if self.budget.steps > 1:
            back = replace(half, steps=self.budget.steps // 2, random_start=False, targeted=True)
            home = Examples(reached, examples.labels, examples.ids, examples.labels)
            zeros = zeros + (yield from through(Descent.plain(back), home))
        with torch.no_grad():
            right = model(reached).argmax(1) == examples.labels
        return {"zero_gradients": zeros, "reached": right}
