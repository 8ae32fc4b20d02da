"""From an adversarial image back to the true label (arXiv:2103.07364, sec. 4.3 and app. I.10)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench_core.types import AttackRecipe, Budget, Cost, Examples, Streams

from ..gradient_attack import GradientAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class ThereAndBack:
    """Projected gradient ascent within half of eps, then the way back from the adversarial images.

    The first half of the budget's steps, rounded up, ascends the loss within half of the budget's eps. The second half
    starts at the adversarial images, stays within half of eps of *them*, and aims at the true label. The images of both
    halves are inside the budget's ball.
    """

    budget: Budget

    @property
    def turn(self) -> int:
        """The number of steps after which it turns back."""
        return self.budget.steps - self.budget.steps // 2

    @property
    def cost(self) -> Cost:
        return Cost(1, 1, forwards_once=1)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images [n, c, h, w] after each step.

        Returns `reached` bool [n], whether the network classifies the last image correctly, and `zero_gradients` [n],
        how many steps met a gradient of zero.
        """
        half = replace(self.budget, eps=self.budget.eps / 2)
        images, zeros = yield from run_to_end(replace(half, steps=self.turn), model, examples, rng)
        if self.budget.steps > 1:
            back = replace(half, steps=self.budget.steps // 2, random_start=False, targeted=True)
            start = Examples(images, examples.labels, examples.ids, examples.labels)
            images, later = yield from run_to_end(back, model, start, rng)
            zeros = zeros + later
        with torch.no_grad():
            correct = model(images).argmax(1) == examples.labels
        return {"zero_gradients": zeros, "reached": correct}


def run_to_end(
    budget: Budget, model: Model, examples: Examples, rng: Streams
) -> Generator[Tensor, None, tuple[Tensor, Tensor]]:
    """Yield the images of plain gradient ascent; return the last ones and the number of zero gradients [n]."""
    images, steps = examples.images, GradientAttack.plain(budget)(model, examples, rng)
    while True:
        try:
            images = next(steps)
        except StopIteration as end:
            return images, end.value["zero_gradients"]
        yield images


def recover(budget: Budget) -> ThereAndBack:
    return ThereAndBack(budget)


RECIPES = {
    "recover": AttackRecipe(
        recover, "Half the steps and eps to fool, the other half back to the true label (arXiv:2103.07364, table 4)."
    )
}
