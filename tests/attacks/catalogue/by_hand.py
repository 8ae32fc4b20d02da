"""Attacks written by hand: one image at a time, in float64, from the equations of their papers.

A transcription is a generator of the directions in which one image moves. `follows` compares it with the attack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench_attacks.compose import join
from bench_attacks.plugin import RECIPES
from bench_core.logits import LOSSES
from bench_core.types import Attack, Budget, Examples, LossName

from ..scene import budget, donors, examples, network, run, streams


@dataclass
class One:
    """One attacked image [c, h, w]; `image` is where it is now."""

    image: Tensor
    clean: Tensor
    given: Examples  # the example alone, [1, ...]
    model: nn.Module
    limits: Budget
    pool: Examples | None
    step: int = 1

    def loss(self, logits: Tensor, name: LossName = "cross_entropy") -> Tensor:
        """Return what is ascended, from logits [k, classes]: [k]."""
        targets = self.given.targets
        classes = self.given.labels if targets is None else targets
        value = LOSSES[name](logits, classes.expand(len(logits)))
        return value if targets is None else -value

    def gradient(self, image: Tensor, name: LossName = "cross_entropy", model: nn.Module | None = None) -> Tensor:
        """Return the gradient of the loss at any point."""
        network = model or self.model
        return slope(lambda at: self.loss(network(at[None]), name)[0], image)

    def uniform(self, purpose: str, *shape: int, step: int | None = None, query: int = 0) -> Tensor:
        """Return the numbers that the attack draws for this image, in [0, 1)."""
        key = f"{purpose}, ask {query}" if query else purpose
        return streams(self.given).uniform(key, self.step if step is None else step, shape)[0].double()

    def normal(self, purpose: str, *shape: int, step: int | None = None, query: int = 0) -> Tensor:
        """Return the normal numbers that the attack draws for this image."""
        key = f"{purpose}, ask {query}" if query else purpose
        return streams(self.given).normal(key, self.step if step is None else step, shape)[0].double()

    def per_pixel(self, length: float) -> float:
        """Return a length in the budget's norm as that of one pixel: in L2 it is spread evenly over all pixels."""
        return length if self.limits.norm == "linf" else length / self.clean.numel() ** 0.5

    def inside(self, image: Tensor) -> Tensor:
        """Project a point into the ball and the image range."""
        delta, eps = image - self.clean, self.limits.eps
        if self.limits.norm == "linf":
            delta = delta.clamp(-eps, eps)
        elif delta.norm() > eps:
            delta = delta * eps / delta.norm()
        return (self.clean + delta).clamp(0, 1)

    def move(self, direction: Tensor, length: float | None = None) -> None:
        """Step along the ball's steepest direction."""
        steepest = direction.sign() if self.limits.norm == "linf" else direction / (direction.norm() or 1)
        self.image = self.inside(self.image + (self.limits.step_size if length is None else length) * steepest)


def slope(value: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Return the gradient of a scalar function."""
    at = at.detach().clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(at), at)
    return gradient


def mean_unit(gradient: Tensor) -> Tensor:
    mean = gradient.abs().mean()
    return gradient / mean if mean > 0 else gradient


def built(parts: str | Sequence[str], limits: Budget, options: dict[str, Any]) -> Attack:
    names = [parts] if isinstance(parts, str) else parts
    return join([RECIPES[name] for name in names]).build(limits, **options)


def follows(
    parts: str | Sequence[str],
    transcription: Callable[[One], Iterator[Tensor | None]],
    model: nn.Module | None = None,
    norms: Sequence[str] = ("linf", "l2"),
    shape: Sequence[int] = (1, 6, 6),
    steps: int = 4,
    **options: Any,
) -> None:
    """Compare every step of an attack on four images with its transcription, untargeted and targeted.

    Args:
        parts: The name of the attack, or of several that are combined.
        transcription: Yields the direction of each step, given the image; or None, if it moved the image itself.
        model: The source network.
        norms: The norms of the budgets.
        shape: The shape of the images.
        steps: The number of steps.
        options: The options of the attack.
    """
    model = model or network(shape[0])
    for norm in norms:
        for targeted in (False, True):
            limits = budget(norm, steps=steps, loss="cross_entropy", targeted=targeted)
            given = examples(4, shape, targeted)
            attack = built(parts, limits, options)
            trajectory = run(attack, model, given)
            assert len(trajectory) == steps
            pool = donors(attack, given).get("donors")
            for i, clean in enumerate(given.images):
                one = One(clean, clean, given.take(slice(i, i + 1)), model, limits, pool)
                directions = transcription(one)
                for step, reached in enumerate(trajectory, 1):
                    one.step = step
                    direction = next(directions)
                    if direction is not None:
                        one.move(direction)
                    gap = (reached[i] - one.image).abs().max().item()
                    assert gap < 1e-9, f"image {i} differs by {gap:.3g} at step {step}, {norm}, targeted {targeted}"
