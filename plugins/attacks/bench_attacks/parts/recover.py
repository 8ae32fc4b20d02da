"""Fool the network, then recover the true label from the adversarial images (arXiv:2103.07364, sec. 4.3, app. I.10)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench_core.types import AttackRecipe, Budget, Cost, Examples, Rejection, Streams

from ..gradient_attack import GradientAttack
from ..offsets import LENGTHS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Recover:
    """Attack with half of the steps and eps, then use the other half to recover the true label.

    The first half of the budget's steps, rounded up, ascends the loss within half of the budget's eps. The second half
    starts at the adversarial images, stays within half of eps around *them*, and targets the true label. So all images
    are inside the budget's ball.
    """

    budget: Budget

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the budget cannot be used, or None if it can."""
        if self.budget.norm in LENGTHS:
            return None
        found = f"found {self.budget.norm}, but the attack halves eps as a length"
        return Rejection("norm", f'{found} (try norm = "l1")')

    @property
    def first_half(self) -> int:
        """The number of steps of the first half."""
        return self.budget.steps - self.budget.steps // 2

    @property
    def cost(self) -> Cost:
        return Cost(1, 1, forwards_once=1)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images [n, c, h, w] after each step.

        Returns `reached` bool [n], whether the network classifies the last image correctly, and `zero_gradients` [n],
        the number of steps at which the gradient was zero.
        """
        half = replace(self.budget, eps=self.budget.eps / 2)
        images, zero_gradients = yield from run_to_end(replace(half, steps=self.first_half), model, examples, rng)
        if self.budget.steps > 1:
            back = replace(half, steps=self.budget.steps // 2, random_start=False, targeted=True)
            start = Examples(images, examples.labels, examples.ids, examples.labels)
            images, back_zero_gradients = yield from run_to_end(back, model, start, rng)
            zero_gradients = zero_gradients + back_zero_gradients
        with torch.no_grad():
            correct = model(images).argmax(1) == examples.labels
        return {"zero_gradients": zero_gradients, "reached": correct}


def run_to_end(
    budget: Budget, model: Model, examples: Examples, rng: Streams
) -> Generator[Tensor, None, tuple[Tensor, Tensor]]:
    """Yield the images of projected gradient ascent; return the last ones and their numbers of zero gradients [n]."""
    images, steps = examples.images, GradientAttack.plain(budget)(model, examples, rng)
    while True:
        try:
            images = next(steps)
        except StopIteration as end:
            return images, end.value["zero_gradients"]
        yield images


def recover(budget: Budget) -> Recover:
    return Recover(budget)


RECIPE = AttackRecipe(
    recover, "Half the steps and eps to fool, the other half back to the true label (arXiv:2103.07364, table 4)."
)
