"""The loop of all gradient attacks that come with bench: estimate the gradient, filter it, step, project."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench_core.types import Budget, Cost, Examples, Rejection, Streams

from .balls import BALLS, per_image
from .estimation import AT_IMAGE, run_estimator
from .evaluation import Evaluation
from .kinds import Answer, Estimator, Filter, Goal, Query, Stop, Surrogate, Term
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
    """What does not change during a run. `clean_logits` [n, members, classes] are None if nothing uses them."""

    model: Model
    examples: Examples
    streams: Streams
    clean_logits: Tensor | None

    @property
    def combined_clean_logits(self) -> Tensor | None:
        """The clean logits [n, classes], with the members of an ensemble combined."""
        return None if self.clean_logits is None else combined(self.clean_logits)


@dataclass(frozen=True)
class State:
    """What changes from step to step, with one row for each image."""

    images: Tensor  # [n, c, h, w]
    moving: Tensor  # bool [n], false for an image that is not changed any more
    zero_gradients: Tensor  # [n], the number of steps at which the gradient was zero
    pace: Pace
    gradient: Tensor  # [n, c, h, w], the last step's, before the filters
    momentum: Tensor  # [n, c, h, w], the last step's, after the filters
    estimator: Any
    filters: tuple[Any, ...]


@dataclass(frozen=True)
class GradientAttack:
    """Maximise the sum of the terms inside the ball of the budget and the image range [0, 1], separately per image.

    Attributes:
        budget: The norm, eps, step size and number of steps.
        loss: The first term, which a part may replace; None for an attack without a loss.
        extras: Further terms.
        estimator: Computes the gradient of a step.
        filters: Transform the gradient, in this order.
        surrogates: Change the network while a gradient is computed. Afterwards it is restored, also after an error.
        stop: A condition on the perturbation at which an image is not changed any more.
        goal: The same on the network's output; it also halves the step of an image that went past it.
        only_step: Length of the only step of a single-step attack, in place of the budget's steps.
        steepest: Whether a step goes in the ball's steepest direction, or along the gradient itself.
        clipped: Whether a step is projected into the ball.

    Raises:
        ValueError: Both a stop and a goal are set.
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
            raise ValueError("two parts of one attack both decide when an image stops")

    @classmethod
    def plain(cls, budget: Budget) -> GradientAttack:
        """Return projected gradient ascent of the loss, to which parts are added."""
        return cls(budget, Loss(budget.loss))

    def add_term(self, term: Term) -> GradientAttack:
        """Return the attack with one more term."""
        return replace(self, extras=(*self.extras, term))

    def with_filters(self, *filters: Filter) -> GradientAttack:
        """Return the attack with these filters; pass `*attack.filters` too, to keep those it has."""
        return replace(self, filters=filters)

    def with_surrogates(self, *surrogates: Surrogate) -> GradientAttack:
        """Return the attack with these surrogates; pass `*attack.surrogates` too, to keep those it has."""
        return replace(self, surrogates=surrogates)

    def set_once(self, **fields: Any) -> GradientAttack:
        """Return the attack with fields that only one part may set. Raises ValueError if another part has set one."""
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
    def goal_needs_forward(self) -> bool:
        """Whether the goal needs an extra forward pass, as the gradient's has a changed network or other points."""
        return self.goal is not None and (bool(self.surrogates) or self.estimator != AT_IMAGE)

    @property
    def evaluation(self) -> Evaluation:
        """How the objective and its gradient are computed at a point that the estimator queries."""
        with_image = any(term.uses_image for term in self.terms) or (
            self.goal is not None and not self.goal_needs_forward
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
        """Passes for one image: all inputs forwards and backwards, and the clean image once if its logits are used.

        A goal costs one more forward pass at the end. Once all images of a batch have stopped, steps cost nothing.
        """
        passes = float(self.estimator.query_points * self.evaluation.inputs)
        once, forwards = float(self.uses_clean + (self.goal is not None)), passes + self.goal_needs_forward
        if self.only_step is not None:
            return Cost(0, 0, forwards_once=once + forwards, backwards_once=passes)
        return Cost(forwards, passes, forwards_once=once)

    @property
    def deviations(self) -> dict[str, str]:
        """The rules of `bench check` that an attack without the loss cannot follow, with the reasons."""
        return {} if self.loss else dict.fromkeys(("ascent", "targeted"), "it does not ascend the loss")

    @property
    def lowers_interaction(self) -> bool:
        """Whether a term lowers the interaction inside the perturbation, and nothing else differs from plain ascent.

        `bench check` then measures it. Filters, estimators and surrogates change the interaction as well.
        """
        alone = not self.filters and not self.surrogates and self.estimator == AT_IMAGE
        return alone and any(getattr(term, "lowers_interaction", False) for term in self.terms)

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why images of shape (c, h, w) or the budget cannot be used, or None if they can."""
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
        """Return why a source network cannot be used, or None if it can."""
        return next(filter(None, (surrogate.check(model) for surrogate in self.surrogates)), None)

    def __call__(self, model: Model, examples: Examples, rng: Streams) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images [n, c, h, w] after each step.

        Args:
            model: The source network: images [n, c, h, w] to logits [n, classes].
            examples: The clean images, labels and targets.
            rng: The random streams of the images.

        Returns:
            `zero_gradients` [n], the number of steps at which the gradient was zero; with a stop or a goal, `reached`
            bool [n]; and any other per-image results of the goal.
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
        """Return the state before the first step: at the clean images, or at random points in their balls."""
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
            filters=tuple(gradient_filter.init(images) for gradient_filter in self.filters),
        )

    def update(self, state: State, step: int, inputs: Inputs) -> State:
        """Return the state after step number `step`, counted from 1."""
        clean, ball, images = inputs.examples.images, BALLS[self.budget.norm], state.images
        rng = StepRng(inputs.streams, step, clean)
        run = RunState(clean, rng, state.pace.size, state.momentum, state.gradient)
        gradient, estimator, answer = self._estimate(state, run, inputs)
        direction, filters = self._filter(gradient, state.filters, run)
        zero, momentum, moving, pace = gradient.flatten(1).abs().amax(1) == 0, direction, state.moving, state.pace
        length: float | Tensor = self.step_size
        if self.goal:
            logits = None if self.goal_needs_forward or answer.logits is None else combined(answer.logits[:, 0])
            logits = plain_logits(inputs.model, images) if logits is None else logits
            side = self.goal.side(logits, inputs.combined_clean_logits, inputs.examples).to(images)
            pace = pace.update(images, direction, side, first=step == 1)
            images, direction, size = pace.images, pace.direction, pace.size * (side != 0)
            moving, length = size > 0, per_image(size, images)
        zero_gradients = state.zero_gradients + (zero & moving)
        ahead = images + length * (ball.direction(direction) if self.steepest else direction)
        if self.stop:  # clip to the image range before projecting: shrinking to the sphere stays inside it
            ahead = ahead.clamp(0, 1).where(per_image(moving, images), images)
            moving = moving & ~self.stop.reached(ahead - clean, self.budget)
        inside = clean + ball.project(ahead - clean, self.budget.eps) if self.clipped else ahead
        inside = inside.clamp(0, 1)
        if self.goal:
            inside = inside.where(per_image(moving, images), images)  # projecting again could change the last bits
        return State(inside, moving, zero_gradients, pace, gradient, momentum, estimator, filters)

    def _estimate(self, state: State, run: RunState, inputs: Inputs) -> tuple[Tensor, Any, Answer]:
        evaluation = self.evaluation

        def answer(query: Query, index: int) -> Answer:
            return evaluation.answer(query, inputs.model, inputs.examples, run, inputs.clean_logits, index)

        return run_estimator(self.estimator, state.images, state.estimator, run, answer)

    def _filter(self, gradient: Tensor, states: tuple[Any, ...], run: RunState) -> tuple[Tensor, tuple[Any, ...]]:
        next_states = []
        for gradient_filter, state in zip(self.filters, states, strict=True):
            gradient, next_state = gradient_filter.update(gradient, state, run)
            next_states.append(next_state)
        return gradient, tuple(next_states)
