"""The loop that every gradient attack here shares: evaluate all terms in one forward, filter the gradient, step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench_core.batches import in_parts, in_passes
from bench_core.types import Budget, Cost, Examples, Streams

from .balls import BALLS, per_image
from .draw import Draw
from .goals import pacing
from .protocols import Filter, Goal, Seen, Stop, Surrogate, Term
from .terms import Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Descent:
    """Ascend the sum of the terms inside the ball of the budget and the image range [0, 1], image by image.

    A *term* names the points at which it wants the network evaluated and the value their logits give; all points of a
    step go through the network together, the current image once for all terms. A *filter* maps the gradient, in the
    order listed. A *surrogate* lends a changed network for the length of one gradient, to the next one listed, so that
    between two steps, and whatever happens, the network is as it was. A *stop* freezes each image that has moved
    enough, a *goal* each that the network says is there, and shortens the steps of one that went past it.

    `only_step` is the length of the one step that a single-step attack takes in place of the budget's steps. Steps go
    in the ball's steepest direction (`steepest`), or along the gradient itself; `clipped` brings them into the ball.
    """

    budget: Budget
    loss: Term | None
    extras: tuple[Term, ...] = ()
    filters: tuple[Filter, ...] = ()
    surrogates: tuple[Surrogate, ...] = ()
    stop: Stop | None = None
    goal: Goal | None = None
    only_step: float | None = None
    steepest: bool = True
    clipped: bool = True

    def __post_init__(self) -> None:
        if self.stop and self.goal:
            raise ValueError("two parts of one attack both say when an image stops")

    @classmethod
    def plain(cls, budget: Budget) -> Descent:
        """Projected gradient ascent of the loss, which the parts of an attack start from."""
        return cls(budget, Loss(budget.loss))

    def adding(self, term: Term) -> Descent:
        return replace(self, extras=(*self.extras, term))

    def filtering(self, *filters: Filter) -> Descent:
        return replace(self, filters=filters)

    def lending(self, *surrogates: Surrogate) -> Descent:
        return replace(self, surrogates=surrogates)

    def setting(self, **fields: Any) -> Descent:
        """Set what only one part may set. Raises ValueError where another part has."""
        plain = Descent.plain(self.budget)
        for name in fields:
            if getattr(self, name) != getattr(plain, name):
                raise ValueError(f"two parts of one attack both set the {name.replace('_', ' ')}")
        return replace(self, **fields)

    @property
    def terms(self) -> tuple[Term, ...]:
        return (*([self.loss] if self.loss else []), *self.extras)

    @property
    def sees_clean(self) -> bool:
        return any(term.sees_clean for term in self.terms) or (self.goal is not None and self.goal.sees_clean)

    @property
    def judged_apart(self) -> bool:
        """Whether the goal needs a forward of its own, as the gradient's is that of a changed network."""
        return self.goal is not None and bool(self.surrogates)

    @property
    def at_image(self) -> bool:
        """Whether the current image is among the inputs of a step."""
        return any(term.sees_image for term in self.terms) or (self.goal is not None and not self.surrogates)

    @property
    def points(self) -> int:
        """How many inputs a step has for each image."""
        return self.at_image + sum(term.points for term in self.terms)

    @property
    def steps(self) -> int:
        return self.budget.steps if self.only_step is None else 1

    @property
    def step_size(self) -> float:
        return self.budget.step_size if self.only_step is None else self.only_step

    @property
    def cost(self) -> Cost:
        """Passes for one image: every point once forwards and once backwards, the clean image once if a term asks.

        A goal is looked at once more at the end. A run in which every image has stopped costs nothing from there on.
        """
        passes, once = float(self.points), float(self.sees_clean + (self.goal is not None))
        forwards = passes + self.judged_apart
        if self.only_step is not None:
            return Cost(0, 0, forwards_once=once + forwards, backwards_once=passes)
        return Cost(forwards, passes, forwards_once=once)

    @property
    def deviations(self) -> dict[str, str]:
        """What no descent without a loss can keep."""
        return {} if self.loss else dict.fromkeys(("ascent", "targeted"), "it ascends something else than the loss")

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w), or the budget, will not do, if they will not."""
        reasons = [term.check(shape) for term in self.terms]
        reasons += [self.stop.check(self.budget)] if self.stop else []
        if not self.clipped and self.steepest and self.step_size > self.budget.eps:
            reasons.append(
                f"clip: found false, but the step of {self.step_size:g} leaves the ball of {self.budget.eps:g} "
                f"(would do: clip = true, or a budget whose steps x step_size is at most its eps)"
            )
        return next(filter(None, reasons), None)

    @property
    def asks_source(self) -> bool:
        """Whether there are source networks that will not do."""
        return bool(self.surrogates)

    def check_source(self, model: Model) -> str | None:
        """Say why a source network will not do, if it will not."""
        return next(filter(None, (surrogate.check(model) for surrogate in self.surrogates)), None)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images [n, c, h, w] after each step. Return how many steps met a gradient of zero, [n]; with a stop
        or a goal, which images `reached` it; and what else the goal reports."""
        budget, ball, clean = self.budget, BALLS[self.budget.norm], examples.images
        images, moving = clean, torch.ones_like(examples.labels, dtype=torch.bool)
        zeros = torch.zeros_like(examples.labels)
        if budget.random_start:
            images = (clean + ball.sample(Draw(rng, 0, clean), clean, budget.eps)).clamp(0, 1)
        clean_logits = by_members(model, clean) if self.sees_clean else None
        before = None if clean_logits is None else combined(clean_logits)
        length: float | Tensor
        filters, pace = [each.start() for each in self.filters], pacing(self.step_size)
        for step in range(1, self.steps + 1):
            if not moving.any():
                yield images
                continue
            gradient, logits = self.evaluated(model, examples, images, Draw(rng, step, clean), clean_logits)
            logits = None if self.judged_apart else logits
            flat = gradient.flatten(1).abs().amax(1) == 0
            for each in filters:
                gradient = each(gradient, step)
            base, length = images, self.step_size
            if self.goal:
                past = self.goal.past(said(model, images) if logits is None else combined(logits), before, examples)
                base, gradient, reach = pace(images, gradient, past.to(images))
                moving, length = reach > 0, per_image(reach, images)
            zeros += flat & moving
            ahead = base + length * (ball.direction(gradient) if self.steepest else gradient)
            if self.stop:  # the box before the ball, so that an end on the sphere is one in the box
                ahead = ahead.clamp(0, 1).where(per_image(moving, images), images)
                moving = moving & ~self.stop.reached(ahead - clean, budget)
            inside = clean + ball.project(ahead - clean, budget.eps) if self.clipped else ahead
            images = inside.clamp(0, 1)
            if self.goal:
                images = images.where(per_image(moving, images), base)  # to the bit
            yield images
        returned: dict[str, Tensor] = {"zero_gradients": zeros} | ({"reached": ~moving} if self.stop else {})
        if self.goal:
            returned |= self.goal.report(said(model, images), before, examples)
        return returned

    def gradient(
        self, model: Model, examples: Examples, images: Tensor, draw: Draw, clean_logits: Tensor | None = None
    ) -> Tensor:
        """Give the gradient [n, c, h, w] of the terms' sum at `images`, each image's as if it were alone."""
        return self.evaluated(model, examples, images, draw, clean_logits)[0]

    def evaluated(
        self, model: Model, examples: Examples, images: Tensor, draw: Draw, clean_logits: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Give the gradient [n, c, h, w], and the logits [n, members, classes] at `images` if those were computed."""

        def of(rows: slice) -> tuple[Tensor, Tensor | None]:
            known = None if clean_logits is None else clean_logits[rows]
            return self._evaluated(model, examples.take(rows), images[rows], draw.take(rows), known)

        gradients, answers = zip(*in_parts(of, len(images), self.points, model, images), strict=True)
        return torch.cat(gradients), None if answers[0] is None else torch.cat(answers)

    def _evaluated(
        self, model: Model, examples: Examples, images: Tensor, draw: Draw, clean_logits: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Values are summed over the batch, never averaged, so that a gradient does not depend on the batch size."""
        network, separately = model, by_member(model)
        with ExitStack() as stack, torch.enable_grad():
            for surrogate in self.surrogates:
                model = stack.enter_context(surrogate.lend(model, draw))
            images = images.detach().requires_grad_(True)
            wanted = [term.place(examples.images, images, draw) for term in self.terms]
            points = torch.cat(
                ([images[:, None]] if self.at_image else []) + [w for w in wanted if w is not None], dim=1
            )
            inputs = points.flatten(0, 1)
            if model is network:
                logits = in_passes(lambda part: answer(network, part, separately), inputs, network)
            else:  # what is lent may go by the place of an input in the batch
                logits = answer(model, inputs, separately)
            count, members = len(images), logits.shape[1]
            logits = logits.unflatten(0, points.shape[:2]).transpose(1, 2).flatten(0, 1)
            told = repeated(examples, members)
            clean = None if clean_logits is None else clean_logits.flatten(0, 1)
            at, first, total = logits[:, 0] if self.at_image else None, int(self.at_image), images.new_zeros(())
            for term in self.terms:
                seen = Seen(images - examples.images, at, logits[:, first : first + term.points], clean)
                total = total + term.value(seen, told).view(count, -1).mean(1).sum()
                first += term.points
            (gradient,) = torch.autograd.grad(total, images)
        return gradient, None if at is None else at.detach().unflatten(0, (count, members))


def repeated(examples: Examples, times: int) -> Examples:
    """Give each example `times` times in a row."""
    if times == 1:
        return examples
    images, labels = (each.repeat_interleave(times, 0) for each in (examples.images, examples.labels))
    targets = None if examples.targets is None else examples.targets.repeat_interleave(times)
    return Examples(images, labels, tuple(each for each in examples.ids for _ in range(times)), targets)


def by_member(model: Model) -> bool:
    """Whether a network is an ensemble whose losses are averaged: every member is then a network of its own."""
    return getattr(model, "combine", None) == "losses"


def answer(model: Model, images: Tensor, separately: bool) -> Tensor:
    """Give logits [n, members, classes]; a network that is no ensemble by losses counts as one member."""
    logits: Tensor = model(images, separately=True) if separately else model(images)[:, None]
    return logits


def by_members(model: Model, images: Tensor) -> Tensor:
    """Give logits [n, members, classes] without a graph."""
    with torch.no_grad():
        return answer(model, images, by_member(model))


def combined(logits: Tensor) -> Tensor:
    """Make one answer [n, classes] of the members' [n, members, classes]: what an ensemble by losses itself gives."""
    return logits[:, 0] if logits.shape[1] == 1 else logits.log_softmax(-1).mean(1)


def said(model: Model, images: Tensor) -> Tensor:
    """Give the logits [n, classes] of the network, or of the ensemble as one, without a graph."""
    return combined(by_members(model, images))
