"""The loop of all gradient attacks that come with bench: estimate the gradient, filter it, step, project."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench_core.types import Examples, Memory, Streams

from .balls import BALLS, Ball, per_image
from .donors import Donors
from .estimation import run_queries
from .members import combined, members_of, plain_logits, plain_member_logits
from .messages import Answer, Passes, Query
from .pacing import Pace
from .packing import packed, unpacked
from .run_state import RunState
from .step_rng import StepRng

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from .gradient_attack import GradientAttack
else:
    from bench_core.lazy import torch


ONCE = ("clean_logits", "prepared")  # what a run computes once, and counts as passes


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
    step_rule: Any


@dataclass(frozen=True)
class Run:
    """One run of an attack on a batch.

    Attributes:
        attack: The attack.
        model: The source network.
        examples: The clean images, labels and targets.
        streams: The random streams of the images.
        donors: The clean images that the attack may mix in; None unless it declares donors.
    """

    attack: GradientAttack
    model: Model
    examples: Examples
    streams: Streams
    donors: Donors | None

    def steps(self, memory: Memory | None = None) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images after each step, and return the rows of the report. Go on from a memory's state."""
        attack, memory = self.attack, memory or Memory()
        done, state = (0, self.warmed_up(self.init())) if memory.state is None else self.restored(memory.state)
        for step in range(done + 1, attack.steps + 1):
            # without a goal or a stop all images move, and asking would make the host wait for a GPU
            if not (attack.goal or attack.stop) or state.moving.any():
                state = self.update(state, step, attack.step_size)
            memory.state = step, packed(state), {name: vars(self).get(name) for name in ONCE}
            yield state.images
        report = {"zero_gradients": state.zero_gradients} | ({"reached": ~state.moving} if attack.stop else {})
        if attack.goal:
            logits = plain_logits(self.model, state.images)
            report |= attack.goal.report(logits, self.combined_clean_logits, self.examples)
        return report

    def warmed_up(self, start: State) -> State:
        """Return a state after the steps of the warm-up, if there is one."""
        warm_up = self.attack.warm_up
        if warm_up is None:
            return start
        length = self.attack.step_size * warm_up.scale
        state = replace(start, pace=Pace.init(start.images, length))
        for step in range(-warm_up.steps, 0):
            state = self.update(state, step, length)
        return replace(state, images=start.images, pace=start.pace, zero_gradients=start.zero_gradients)

    def restored(self, kept: tuple[int, Any, dict[str, Any]]) -> tuple[int, State]:
        """Return the number of steps that are done, and the state. What was computed once is not computed again."""
        step, values, once = kept
        vars(self).update({name: value for name, value in once.items() if value is not None})
        return step, unpacked(values, self.init())

    @property
    def ball(self) -> Ball:
        return BALLS[self.attack.budget.norm]

    @cached_property
    def clean_logits(self) -> Tensor | None:
        """The logits [n, members, classes] at the clean images, or None if nothing uses them."""
        return plain_member_logits(self.model, self.examples.images) if self.attack.uses_clean else None

    @property
    def combined_clean_logits(self) -> Tensor | None:
        """The clean logits [n, classes], with the members of an ensemble combined."""
        return None if self.clean_logits is None else combined(self.clean_logits)

    @cached_property
    def members(self) -> int:
        return len(members_of(self.model))

    @cached_property
    def prepared(self) -> Tensor | None:
        """What the attack's preparation returns, computed once."""
        preparation = self.attack.preparation
        if preparation is None:
            return None
        zeros, size = torch.zeros_like(self.examples.images), self.examples.images.new_zeros(len(self.examples.ids))
        run = self.state(0, size, zeros, zeros)
        passes, name = preparation.passes(self.members), type(preparation).__name__
        prepared, _ = run_queries(preparation.prepare(run), self.answering(run, None), passes, self.members, name)
        return prepared

    def init(self) -> State:
        """Return the state before the first step: at the clean images, or at random points in their balls."""
        attack, clean = self.attack, self.examples.images
        images, zeros = clean, torch.zeros_like(clean)
        if attack.budget.random_start:
            rng = StepRng(self.streams, 0, clean)
            images = (clean + self.ball.sample(rng, clean, attack.budget.eps)).clamp(0, 1)
        return State(
            images,
            moving=torch.ones_like(self.examples.labels, dtype=torch.bool),
            zero_gradients=torch.zeros_like(self.examples.labels),
            pace=Pace.init(images, attack.step_size),
            gradient=zeros,
            momentum=zeros,
            estimator=attack.estimator.init(images),
            filters=tuple(gradient_filter.init(images) for gradient_filter in attack.filters),
            step_rule=attack.step_rule.init(images) if attack.step_rule else None,
        )

    def state(self, step: int, step_size: Tensor, momentum: Tensor, gradient: Tensor) -> RunState:
        """Return what the building blocks may read at a step."""
        clean = self.examples.images
        rng = StepRng(self.streams, step, clean)
        return RunState(clean, rng, step_size, momentum, gradient, self.members, self.donors)

    def answering(self, run: RunState, prepared: Tensor | None) -> Any:
        """Return the function that answers the queries of a step."""
        evaluation = self.attack.evaluation

        def answer(query: Query, index: int) -> Answer:
            return evaluation.answer(query, self.model, self.examples, run, self.clean_logits, index, prepared)

        return answer

    def update(self, state: State, step: int, step_size: float) -> State:
        """Return the state after one step; steps are counted from 1, those of a warm-up are negative."""
        attack, images = self.attack, state.images
        run = self.state(step, state.pace.size, state.momentum, state.gradient)
        gradient, estimator, answer = self._estimate(state, run)
        direction, filters = self._filter(gradient, state.filters, run)
        zero, momentum, moving, pace = gradient.flatten(1).abs().amax(1) == 0, direction, state.moving, state.pace
        length: float | Tensor = step_size
        if attack.goal:
            logits = None if attack.goal_needs_forward or answer.logits is None else combined(answer.logits[:, 0])
            logits = plain_logits(self.model, images) if logits is None else logits
            side = attack.goal.side(logits, self.combined_clean_logits, self.examples).to(images)
            pace = pace.update(images, direction, side, first=step == 1)
            images, direction, size = pace.images, pace.direction, pace.size * (side != 0)
            moving, length = size > 0, per_image(size, images)
        zero_gradients = state.zero_gradients + (zero & moving)
        step_direction, step_rule = self.ball.direction(direction, images) if attack.steepest else direction, None
        if attack.step_rule:
            move, step_rule = attack.step_rule.move(step_direction, length, state.step_rule, run)
        else:
            move = length * step_direction
        inside, moving = self._inside(images, images + move, moving)
        return State(inside, moving, zero_gradients, pace, gradient, momentum, estimator, filters, step_rule)

    def _inside(self, images: Tensor, ahead: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
        """Project images that moved ahead into the ball and the image range; return which go on moving."""
        attack, clean = self.attack, self.examples.images
        if attack.stop:  # clip to the image range before projecting: shrinking to the sphere stays inside it
            ahead = ahead.clamp(0, 1).where(per_image(moving, images), images)
            moving = moving & ~attack.stop.reached(ahead - clean, attack.budget)
        inside = clean + self.ball.project(ahead - clean, attack.budget.eps, clean) if attack.clipped else ahead
        inside = inside.clamp(0, 1)
        if attack.goal:
            inside = inside.where(per_image(moving, images), images)  # projecting again could change the last bits
        return inside, moving

    def _estimate(self, state: State, run: RunState) -> tuple[Tensor, Any, Answer]:
        """Return the gradient, the estimator's next state, and the answer to its first query."""
        estimator = self.attack.estimator
        passes: Passes = estimator.passes(run.step, self.members)
        queries = estimator.estimate(state.images, state.estimator, run)
        answer = self.answering(run, self.prepared)
        (gradient, after), first = run_queries(queries, answer, passes, self.members, type(estimator).__name__)
        return gradient, after, first

    def _filter(self, gradient: Tensor, states: tuple[Any, ...], run: RunState) -> tuple[Tensor, tuple[Any, ...]]:
        next_states = []
        for gradient_filter, state in zip(self.attack.filters, states, strict=True):
            gradient, next_state = gradient_filter.update(gradient, state, run)
            next_states.append(next_state)
        return gradient, tuple(next_states)
