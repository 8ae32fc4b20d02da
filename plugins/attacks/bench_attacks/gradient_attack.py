"""The loop that all of bench's own gradient attacks share: estimate the gradient, filter it, step, project."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench_core.types import Budget, Cost, Examples, Rejection, Streams

from .balls import BALLS, per_image
from .estimation import AT_IMAGE, estimated
from .evaluation import Evaluation
from .kinds import Answer, Estimator, Filter, Goal, Stop, Surrogate, Term
from .loss import Loss
from .members import combined, plain_logits, plain_member_logits
from .pacing import Pace
from .run_state import RunState
from .step_rng import StepRng

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Inputs:
    """What stays the same through a run. `clean_logits` [n, members, classes] are None where no part uses them."""

    model: Model
    examples: Examples
    streams: Streams
    clean_logits: Tensor | None

    @property
    def combined_clean_logits(self) -> Tensor | None:
        """The clean logits [n, classes] of an ensemble as one network."""
        return None if self.clean_logits is None else combined(self.clean_logits)


@dataclass(frozen=True)
class State:
    """What changes from step to step; every row is one image's own."""

    images: Tensor  # [n, c, h, w]
    moving: Tensor  # bool [n], false where an image stays where it is
    zero_gradients: Tensor  # [n], how many steps met a gradient of zero
    pace: Pace
    gradient: Tensor  # [n, c, h, w], the last step's, before the filters
    momentum: Tensor  # [n, c, h, w], the last step's, after the filters
    estimator: Any
    filters: tuple[Any, ...]


@dataclass(frozen=True)
class GradientAttack:
    """Ascend the sum of the terms inside the ball of the budget and the image range [0, 1], image by image.

    The `estimator` computes the gradient of a step, on the network as the `surrogates` change it; the `filters` map
    it, in the order listed. An image stays where it is once the `stop` or the `goal` says so; a goal also halves the
    step of an image that went past it. Between two steps the network is as it was, whatever happens.

    `only_step` is the length of the one step that a single-step attack takes in place of the budget's steps. Steps go
    in the ball's steepest direction (`steepest`) or along the gradient itself; `clipped` projects them into the ball.

    Raises ValueError where both a stop and a goal are set.
    """

    budget: Budget
    loss: Term | None
    extras: tuple[Term, ...] = ()
    estimator: Estimator = AT_IMAGE
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
    def plain(cls, budget: Budget) -> GradientAttack:
        """Return projected gradient ascent of the loss, to which parts are added."""
        return cls(budget, Loss(budget.loss))

    def add_term(self, term: Term) -> GradientAttack:
        return replace(self, extras=(*self.extras, term))

    def with_filters(self, *filters: Filter) -> GradientAttack:
        return replace(self, filters=filters)

    def with_surrogates(self, *surrogates: Surrogate) -> GradientAttack:
        return replace(self, surrogates=surrogates)

    def set_once(self, **fields: Any) -> GradientAttack:
        """Set fields that only one part may set. Raises ValueError where another part has set one."""
        plain = GradientAttack.plain(self.budget)
        for name in fields:
            if getattr(self, name) != getattr(plain, name):
                raise ValueError(f"two parts of one attack both set the {name.replace('_', ' ')}")
        return replace(self, **fields)

    @property
    def terms(self) -> tuple[Term, ...]:
        return (*([self.loss] if self.loss else []), *self.extras)

    @property
    def uses_clean(self) -> bool:
        """Whether the logits at the clean images are computed."""
        return any(term.uses_clean for term in self.terms) or (self.goal is not None and self.goal.uses_clean)

    @property
    def judged_separately(self) -> bool:
        """Whether the goal needs a forward of its own: the gradient's is of a changed network or at other points."""
        return self.goal is not None and (bool(self.surrogates) or self.estimator != AT_IMAGE)

    @property
    def evaluation(self) -> Evaluation:
        """How each point that the estimator asks about is evaluated."""
        with_image = any(term.uses_image for term in self.terms) or (
            self.goal is not None and not self.judged_separately
        )
        return Evaluation(self.terms, self.surrogates, with_image)

    @property
    def steps(self) -> int:
        return self.budget.steps if self.only_step is None else 1

    @property
    def step_size(self) -> float:
        return self.budget.step_size if self.only_step is None else self.only_step

    @property
    def cost(self) -> Cost:
        """Passes for one image: every input forwards and backwards; the clean image once if a part uses its logits.

        A goal costs one more forward at the end. A run in which no image moves any more costs nothing from there on.
        """
        passes = float(self.estimator.asked_points * self.evaluation.inputs)
        once, forwards = float(self.uses_clean + (self.goal is not None)), passes + self.judged_separately
        if self.only_step is not None:
            return Cost(0, 0, forwards_once=once + forwards, backwards_once=passes)
        return Cost(forwards, passes, forwards_once=once)

    @property
    def deviations(self) -> dict[str, str]:
        """The rules of `bench check` that an attack without the loss cannot keep."""
        return {} if self.loss else dict.fromkeys(("ascent", "targeted"), "it ascends something else than the loss")

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why images of shape (c, h, w), or the budget, cannot be used; None if they can."""
        rejections = [term.check(shape) for term in self.terms]
        rejections += [self.stop.check(self.budget)] if self.stop else []
        if not self.clipped and self.steepest and self.step_size > self.budget.eps:
            found = f"found false, but the step of {self.step_size:g} leaves the ball of {self.budget.eps:g}"
            hint = "(try clip = true, or a budget whose steps x step_size is at most its eps)"
            rejections.append(Rejection("clip", f"{found} {hint}"))
        return next(filter(None, rejections), None)

    @property
    def asks_source(self) -> bool:
        """Whether `check_source` may reject a network."""
        return bool(self.surrogates)

    def check_source(self, model: Model) -> Rejection | None:
        """Return why a source network cannot be used, None if it can."""
        return next(filter(None, (surrogate.check(model) for surrogate in self.surrogates)), None)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images [n, c, h, w] after each step.

        Returns `zero_gradients` [n], how many steps met a gradient of zero; with a stop or a goal, `reached` bool [n];
        and any other rows that the goal reports.
        """
        clean_logits = plain_member_logits(model, examples.images) if self.uses_clean else None
        inputs = Inputs(model, examples, rng, clean_logits)
        state = self.init(inputs)
        for step in range(1, self.steps + 1):
            if state.moving.any():
                state = self.update(state, step, inputs)
            yield state.images
        report = {"zero_gradients": state.zero_gradients} | ({"reached": ~state.moving} if self.stop else {})
        if self.goal:
            report |= self.goal.report(plain_logits(model, state.images), inputs.combined_clean_logits, examples)
        return report

    def init(self, inputs: Inputs) -> State:
        """Return the state before the first step: at the clean images, or at random points of the ball."""
        clean, ball = inputs.examples.images, BALLS[self.budget.norm]
        images, zeros = clean, torch.zeros_like(clean)
        if self.budget.random_start:
            rng = StepRng(inputs.streams, 0, clean)
            images = (clean + ball.sample(rng, clean, self.budget.eps)).clamp(0, 1)
        return State(
            images,
            moving=torch.ones_like(inputs.examples.labels, dtype=torch.bool),
            zero_gradients=torch.zeros_like(inputs.examples.labels),
            pace=Pace.init(images, self.step_size),
            gradient=zeros,
            momentum=zeros,
            estimator=self.estimator.init(images),
            filters=tuple(part.init(images) for part in self.filters),
        )

    def update(self, state: State, step: int, inputs: Inputs) -> State:
        """Return the state after the step with the number `step`, from 1."""
        clean, ball, images = inputs.examples.images, BALLS[self.budget.norm], state.images
        rng = StepRng(inputs.streams, step, clean)
        run = RunState(clean, rng, state.pace.size, state.momentum, state.gradient)
        gradient, estimator, answer = self._estimate(state, run, inputs)
        direction, filters = self._filter(gradient, state.filters, run)
        zero, momentum, moving, pace = gradient.flatten(1).abs().amax(1) == 0, direction, state.moving, state.pace
        length: float | Tensor = self.step_size
        if self.goal:
            logits = None if self.judged_separately or answer.logits is None else combined(answer.logits[:, 0])
            logits = plain_logits(inputs.model, images) if logits is None else logits
            side = self.goal.side(logits, inputs.combined_clean_logits, inputs.examples).to(images)
            pace = pace.update(images, direction, side, first=step == 1)
            images, direction, size = pace.images, pace.direction, pace.size * (side != 0)
            moving, length = size > 0, per_image(size, images)
        zero_gradients = state.zero_gradients + (zero & moving)
        ahead = images + length * (ball.direction(direction) if self.steepest else direction)
        if self.stop:  # the image range before the ball, so that an end on the sphere is one in the image range
            ahead = ahead.clamp(0, 1).where(per_image(moving, images), images)
            moving = moving & ~self.stop.reached(ahead - clean, self.budget)
        inside = clean + ball.project(ahead - clean, self.budget.eps) if self.clipped else ahead
        inside = inside.clamp(0, 1)
        if self.goal:
            inside = inside.where(per_image(moving, images), images)  # to the bit
        return State(inside, moving, zero_gradients, pace, gradient, momentum, estimator, filters)

    def _estimate(self, state: State, run: RunState, inputs: Inputs) -> tuple[Tensor, Any, Answer]:
        evaluation = self.evaluation

        def answer(ask: Any, index: int) -> Answer:
            return evaluation.answer(ask, inputs.model, inputs.examples, run, inputs.clean_logits, index)

        return estimated(self.estimator, state.images, state.estimator, run, answer)

    def _filter(self, gradient: Tensor, states: tuple[Any, ...], run: RunState) -> tuple[Tensor, tuple[Any, ...]]:
        after = []
        for part, state in zip(self.filters, states, strict=True):
            gradient, state = part.update(gradient, state, run)  # noqa: PLW2901
            after.append(state)
        return gradient, tuple(after)
