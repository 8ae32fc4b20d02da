"""Minimal-norm attacks: searches for the smallest perturbation that fools a network.

Each search is a generator in a file of its own in `parts/`. It asks for gradients at points of its choice, and yields
after each step. Every point that it asks about is a candidate, and the best one is returned, so that no search keeps
its own record and all are judged alike. The host measures the distances of what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from bench_core.logits import margin
from bench_core.norms import perturbation_size
from bench_core.types import Budget, Cost, Examples, Rejection, Streams

from .balls import per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model, Norm
else:
    from bench_core.lazy import torch

ROUNDING = 1e-6  # of eps, by which a perturbation of length eps may exceed it


class Search(Protocol):
    """A rule by which a minimal-norm attack moves the images."""

    @property
    def norms(self) -> tuple[Norm, ...]:
        """The norms whose distance it can minimise."""

    @property
    def can_target(self) -> bool:
        """Whether it can aim at a class."""

    @property
    def cost(self) -> Cost:
        """Its passes for one image."""

    def run(self, problem: Problem) -> Iterator[None]:
        """Ask the problem about points and yield once after each step, at most as often as the budget has steps."""


@dataclass(frozen=True)
class Asked:
    """What a network answered at points [n, c, h, w]."""

    fooled: Tensor  # bool [n]
    margins: Tensor  # [n], by how many logits it is fooled, negative where it is not
    values: Tensor  # [n], what the gradient is of
    gradients: Tensor  # [n, c, h, w]


class Problem:
    """The images to perturb, and the best perturbed image found so far of each.

    Attributes:
        budget: The norm and the largest distance that counts.
        clean: The clean images [n, c, h, w].
        images: The nearest images that were asked about, fool the network, and are in the ball; else the clean ones.
        distances: Their distances in the norm of the budget, [n]; infinite if there is none.
        zero_gradients: The number of gradients that were zero, [n].
    """

    def __init__(self, model: Model, examples: Examples, budget: Budget) -> None:
        self.model, self.examples, self.budget = model, examples, budget
        self.clean = self.images = examples.images
        self.distances = torch.full_like(self.clean.flatten(1)[:, 0], torch.inf)
        self.zero_gradients = torch.zeros_like(examples.labels)

    def ask(self, points: Tensor, value: Callable[[Tensor, Examples], Tensor]) -> Asked:
        """Ask about points [n, c, h, w] and compare them with the best ones.

        Args:
            points: The points, one for each image.
            value: (logits [n, classes], examples) -> the values [n] whose gradients are wanted.
        """
        with torch.enable_grad():
            at = points.detach().requires_grad_(True)
            logits = self.model(at)
            values = value(logits, self.examples)
            (gradients,) = torch.autograd.grad(values.sum(), at)
        fooled = self.judge(points, logits.detach())
        self.zero_gradients = self.zero_gradients + (gradients.flatten(1).abs().amax(1) == 0)
        margins = attack_margin(logits.detach(), self.examples)
        return Asked(fooled, margins, values.detach(), gradients)

    def judge(self, points: Tensor, logits: Tensor) -> Tensor:
        """Return which points fool the network, given its logits there, bool [n]. Keep those that are the best."""
        fooled = fools(logits, self.examples)
        distances = perturbation_size(points - self.clean, self.budget.norm)
        better = fooled & (distances < self.distances) & (distances <= self.budget.eps * (1 + ROUNDING))
        self.distances = distances.where(better, self.distances)
        self.images = points.where(per_image(better, points), self.images)
        return fooled


def fools(logits: Tensor, examples: Examples) -> Tensor:
    """Return which logits [n, classes] are of fooled images, bool [n]."""
    predicted = logits.argmax(1)
    return predicted != examples.labels if examples.targets is None else predicted == examples.targets


def attack_margin(logits: Tensor, examples: Examples) -> Tensor:
    """Return by how many logits the wrong class, or the target, exceeds the strongest other one, [n]."""
    return margin(logits, examples.labels) if examples.targets is None else -margin(logits, examples.targets)


@dataclass(frozen=True)
class MinimalNorm:
    """A minimal-norm attack. It yields the best images so far after each step.

    The search starts at the image and has step sizes of its own: of the budget it uses the norm, the number of steps
    and eps, beyond which nothing counts. An image without such a perturbation is returned unchanged.
    """

    budget: Budget
    search: Search
    all_or_nothing: ClassVar[bool] = True

    @property
    def cost(self) -> Cost:
        return self.search.cost

    @property
    def deviations(self) -> dict[str, str]:
        """The rules of `bench check` that the search cannot follow, with the reasons."""
        return dict(getattr(self.search, "deviations", {}))

    def check(self, _shape: tuple[int, int, int]) -> Rejection | None:
        """Return why the budget cannot be used, or None if it can."""
        norms = self.search.norms
        if self.budget.norm not in norms:
            found = f"found a budget in {self.budget.norm}, but this attack minimises {' or '.join(norms)}"
            return Rejection("norm", f'{found} (try norm = "{norms[0]}", or recipe = "fmn")')
        if self.budget.targeted and not self.search.can_target:
            return Rejection("recipe", "it cannot be targeted (try fmn)")
        return None

    def __call__(
        self,
        model: Model,
        examples: Examples,
        rng: Streams,  # noqa: ARG002
    ) -> Generator[Tensor, None, dict[str, Tensor]]:
        problem = Problem(model, examples, self.budget)
        for _ in self.search.run(problem):
            yield problem.images
        return {"zero_gradients": problem.zero_gradients}
