"""The loop that every gradient attack here shares: evaluate all terms in one forward, filter the gradient, step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench_core.types import Budget, Cost, Examples, Streams

from .balls import BALLS
from .protocols import Filter, Seen, Surrogate, Term

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Draw:
    """One step's random numbers, on the device of the images."""

    rng: Streams
    step: int
    device: Any

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        return self.rng.normal(purpose, self.step, shape).to(self.device)

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        return self.rng.uniform(purpose, self.step, shape).to(self.device)

    def subsets(self, purpose: str, count: int, players: int, size: int) -> Tensor:
        return self.rng.subsets(purpose, self.step, count, players, size).to(self.device)


@dataclass(frozen=True)
class Descent:
    """Ascend the sum of the terms inside the ball of the budget and the image range [0, 1], image by image.

    A *term* names the points at which it wants the network evaluated and the value their logits give; all points of a
    step go through the network in one batch, the current image once for all terms. A *filter* maps the gradient, in
    the order listed. A *surrogate* lends a changed network for the length of one gradient, so that between two steps,
    and whatever happens, the network is as it was.
    """

    budget: Budget
    terms: tuple[Term, ...]
    filters: tuple[Filter, ...] = ()
    surrogates: tuple[Surrogate, ...] = field(default=())

    def adding(self, term: Term) -> Descent:
        return replace(self, terms=(*self.terms, term))

    def filtering(self, added: Filter) -> Descent:
        return replace(self, filters=(*self.filters, added))

    def lending(self, surrogate: Surrogate) -> Descent:
        return replace(self, surrogates=(*self.surrogates, surrogate))

    @property
    def cost(self) -> Cost:
        """Passes for one image: every point once forwards and once backwards, the clean image once if a term asks."""
        passes = any(term.sees_image for term in self.terms) + sum(term.points for term in self.terms)
        return Cost(passes, passes, forwards_once=float(any(term.sees_clean for term in self.terms)))

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""
        return next((reason for term in self.terms if (reason := term.check(shape))), None)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Iterator[Tensor]:
        budget, ball, clean = self.budget, BALLS[self.budget.norm], examples.images
        delta = torch.zeros_like(clean)
        if budget.random_start:
            delta = ball.sample(Draw(rng, 0, clean.device), clean, budget.eps)
            delta = (clean + delta).clamp(0, 1) - clean
        logits = None
        if any(term.sees_clean for term in self.terms):
            with torch.no_grad():
                logits = model(clean)
        filters = [each.start() for each in self.filters]
        for step in range(1, budget.steps + 1):
            gradient = self.gradient(model, examples, clean + delta, Draw(rng, step, clean.device), logits)
            for each in filters:
                gradient = each(gradient, step)
            delta = ball.project(delta + budget.step_size * ball.direction(gradient), budget.eps)
            delta = (clean + delta).clamp(0, 1) - clean
            yield clean + delta

    def gradient(
        self, model: Model, examples: Examples, images: Tensor, draw: Draw, clean_logits: Tensor | None = None
    ) -> Tensor:
        """Give the gradient [n, c, h, w] of the terms' sum at `images`, each image's as if it were alone.

        Values are summed over the batch, never averaged, so that a gradient does not depend on the batch size.
        """
        with ExitStack() as stack, torch.enable_grad():
            for surrogate in self.surrogates:
                model = stack.enter_context(surrogate.lend(model, draw))
            images = images.detach().requires_grad_(True)
            wanted = [term.place(examples.images, images, draw) for term in self.terms]
            at_image = any(term.sees_image for term in self.terms)
            points = torch.cat(([images[:, None]] if at_image else []) + [w for w in wanted if w is not None], dim=1)
            logits = model(points.flatten(0, 1)).unflatten(0, points.shape[:2])
            at = logits[:, 0] if at_image else None
            first, total = int(at_image), logits.new_zeros(())
            for term in self.terms:
                seen = Seen(at, logits[:, first : first + term.points], clean_logits)
                total = total + term.value(seen, examples).sum()
                first += term.points
            (gradient,) = torch.autograd.grad(total, images)
        return gradient
