"""The gradient attack that parts build: its building blocks, its cost, and what it refuses. `loop.py` runs it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from bench_core.types import Budget, Cost, Examples, Memory, Rejection, Streams

from .donors import Donors
from .estimation import AT_IMAGE
from .evaluation import Evaluation
from .kinds import (
    Estimator,
    Filter,
    Goal,
    Loss,
    Passes,
    Preparation,
    StepRule,
    Stop,
    Surrogate,
    Tap,
    Term,
    View,
)  # fmt: skip
from .loop import Run
from .loss import ClassificationLoss
from .members import members_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Model


@dataclass(frozen=True)
class WarmUp:
    """Steps before the first one, of `scale` times its length. The image goes back to its start; all memory stays."""

    steps: int
    scale: float


@dataclass(frozen=True)
class GradientAttack:
    """Maximise the objective inside the ball of the budget and the image range [0, 1], separately per image.

    Attributes:
        budget: The norm, eps, step size and number of steps.
        loss: What is maximised at the image or its copies, which a part may replace; None for an attack without a loss.
        views: Copies of the image at which the loss is computed; each view copies the copies of the one before it.
        pooling: Whether the mean over the copies is taken of their losses or of their logits.
        loss_weight: The factor of the loss beside other terms; alone it would change nothing.
        extras: Further terms of the objective.
        tap: The inner layer whose features the loss uses.
        preparation: Computes once per run what the loss uses beside the outputs.
        estimator: Computes the gradient of a step.
        filters: Transform the gradient, in this order.
        surrogates: Change the network while a gradient is computed. Afterwards it is restored, also after an error.
        warm_up: Steps before the first, from which only the memory is kept.
        step_rule: How an image moves along the steepest direction; None for the length of a step.
        stop: A condition on the perturbation at which an image is not changed any more.
        goal: The same on the network's output; it also halves the step of an image that went past it.
        only_step: Length of the only step of a single-step attack, in place of the budget's steps.
        steepest: Whether a step goes in the ball's steepest direction, or along the gradient itself.
        clipped: Whether a step is projected into the ball.
        donors: The number of clean images of the dataset that images may be mixed with; 0 for none.

    Raises:
        ValueError: Two parts exclude each other: a stop and a goal, views and an attack without a loss, or a warm-up
            and either of a stop and a goal.
    """

    budget: Budget
    loss: Loss | None
    views: tuple[View, ...] = ()
    pooling: Literal["losses", "logits"] = "losses"
    loss_weight: float = 1
    extras: tuple[Term, ...] = ()
    tap: Tap | None = None
    preparation: Preparation | None = None
    estimator: Estimator = AT_IMAGE
    filters: tuple[Filter, ...] = ()
    surrogates: tuple[Surrogate, ...] = ()
    warm_up: WarmUp | None = None
    step_rule: StepRule | None = None
    stop: Stop | None = None
    goal: Goal | None = None
    only_step: float | None = None
    steepest: bool = True
    clipped: bool = True
    donors: int = 0

    def __post_init__(self) -> None:
        if ((self.stop or self.warm_up) and self.goal) or (self.stop and self.warm_up):
            raise ValueError("two parts of one attack both decide when an image stops")
        if self.views and self.loss is None:
            raise ValueError("two parts of one attack both set the loss")

    @classmethod
    def plain(cls, budget: Budget) -> GradientAttack:
        """Return projected gradient ascent of the loss, to which parts are added."""
        return cls(budget, ClassificationLoss(budget.loss))

    def add_term(self, term: Term) -> GradientAttack:
        """Return the attack with one more term."""
        return replace(self, extras=(*self.extras, term))

    def add_views(self, *views: View) -> GradientAttack:
        """Return the attack with these views after those that it has."""
        return replace(self, views=(*self.views, *views))

    def with_donors(self, count: int) -> GradientAttack:
        """Return the attack with a pool of at least so many donors."""
        return replace(self, donors=max(count, self.donors))

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
    def uses_clean(self) -> bool:
        """Whether the logits at the clean images are computed."""
        return any(term.uses_clean for term in self.extras) or (self.goal is not None and self.goal.uses_clean)

    @property
    def goal_needs_forward(self) -> bool:
        """Whether the goal needs an extra forward pass, as the gradient's has a changed network or other points."""
        return self.goal is not None and (bool(self.surrogates) or self.estimator != AT_IMAGE)

    @property
    def evaluation(self) -> Evaluation:
        """How the objective and its gradient are computed at a point that the estimator queries."""
        with_image = (
            (self.loss is not None and not self.views)
            or any(term.uses_image for term in self.extras)
            or (self.goal is not None and not self.goal_needs_forward)
        )
        return Evaluation(
            self.loss, self.views, self.pooling, self.loss_weight, self.extras, self.surrogates, self.tap, with_image
        )

    @property
    def steps(self) -> int:
        return self.budget.steps if self.only_step is None else 1

    @property
    def step_size(self) -> float:
        return self.budget.step_size if self.only_step is None else self.only_step

    @property
    def cost(self) -> Cost:
        """The cost on a single network."""
        return self.cost_for(1)

    def cost_for(self, members: int) -> Cost:
        """Return the passes for one image through a source of so many networks.

        A goal costs one more forward pass at the end. Once all images of a batch have stopped, steps cost nothing.
        """
        each = [self._passes(self.estimator.passes(step, members)) for step in range(1, self.steps + 1)]
        warm = range(-self.warm_up.steps, 0) if self.warm_up else ()
        before = [self._passes(self.estimator.passes(step, members)) for step in warm]
        if self.preparation:
            before.append(self._passes(self.preparation.passes(members)))
        goal = self.goal_needs_forward
        forwards = sum(pair[0] for pair in before) + self.uses_clean + (self.goal is not None)
        backwards = sum(pair[1] for pair in before)
        if self.only_step is None and len(set(each)) == 1:
            return Cost(each[0][0] + goal, each[0][1], forwards_once=forwards, backwards_once=backwards)
        forwards += sum(pair[0] for pair in each) + goal * len(each)
        return Cost(0, 0, forwards_once=forwards, backwards_once=backwards + sum(pair[1] for pair in each))

    def _passes(self, points: Passes) -> tuple[float, float]:
        """Return the forwards and backwards of queried points."""
        inputs, extra = self.evaluation.inputs, self.evaluation.extra_forwards
        objective, plain, forwards = map(float, points)
        backwards = objective * inputs + plain
        return backwards + forwards + sum(points) * extra, backwards

    @property
    def deviations(self) -> dict[str, str]:
        """The rules of `bench check` that it cannot follow, with reasons; estimators and preparations declare some."""
        without_loss = {} if self.loss else dict.fromkeys(("ascent", "targeted"), "it does not ascend the loss")
        computing = (self.estimator, self.preparation)
        return without_loss | {rule: why for each in computing for rule, why in getattr(each, "deviations", {}).items()}

    @property
    def lowers_interaction(self) -> bool:
        """Whether a term lowers the interaction inside the perturbation, and nothing else differs from plain ascent.

        `bench check` then measures it. Filters, estimators, step rules and surrogates change the interaction as well.
        """
        alone = not (self.filters or self.surrogates or self.step_rule or self.warm_up) and self.estimator == AT_IMAGE
        return alone and any(getattr(term, "lowers_interaction", False) for term in self.extras)

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why images of shape (c, h, w) or the budget cannot be used, or None if they can."""
        rejections = [view.check(shape) for view in self.views] + [term.check(shape) for term in self.extras]
        rejections += [self.stop.check(self.budget)] if self.stop else []
        rejections += [self.step_rule.check(self.budget)] if self.step_rule else []
        if not self.clipped and self.steepest and self.step_size > self.budget.eps:
            found = f"found false, but the step of {self.step_size:g} leaves the ball of {self.budget.eps:g}"
            hint = "(try clip = true, or a budget whose steps x step_size is at most its eps)"
            rejections.append(Rejection("clip", f"{found} {hint}"))
        if self.tap and any(getattr(surrogate, "resizes", False) for surrogate in self.surrogates):
            found = "found images of two sizes, which have different features at the layer"
            rejections.append(Rejection("resize", f"{found} (try resize = 0.9)"))
        by_row = any(getattr(surrogate, "by_row", False) for surrogate in self.surrogates)
        if by_row and any(getattr(surrogate, "splits", False) for surrogate in self.surrogates):
            found = "found images of two sizes in two calls of a network that is changed for each image"
            rejections.append(Rejection("resize", f"{found} (try resize = 0.9, or probability = 1)"))
        if self.tap and any(surrogate.forwards for surrogate in self.surrogates):
            found = "found a part that mixes in features of other images, which have none for the loss"
            rejections.append(Rejection("layer", f"{found} (try the two parts in two attacks)"))
        return next(filter(None, rejections), None)

    @property
    def resumable(self) -> bool:
        """Whether a run can go on after any step: everything that changes from step to step is in its state."""
        return True

    @property
    def donors_of_other_classes(self) -> bool:
        """Whether each image needs donors of another class than its own."""
        return self.donors > 0

    @property
    def asks_source(self) -> bool:
        """Whether `check_source` may reject a network."""
        return bool(self.surrogates) or self.tap is not None

    def check_source(self, model: Model) -> Rejection | None:
        """Return why a source network cannot be used, or None if it can."""
        if self.tap and len(members_of(model)) > 1:
            return Rejection("layer", "found an ensemble, whose networks have different features (try a single source)")
        rejections = [surrogate.check(model) for surrogate in self.surrogates]
        rejections += [self.tap.check(model)] if self.tap else []
        return next(filter(None, rejections), None)

    def __call__(
        self,
        model: Model,
        examples: Examples,
        rng: Streams,
        donors: Examples | None = None,
        memory: Memory | None = None,
    ) -> Generator[Tensor, None, dict[str, Tensor]]:
        """Yield the images [n, c, h, w] after each step.

        Args:
            model: The source network: images [n, c, h, w] to logits [n, classes].
            examples: The clean images, labels and targets.
            rng: The random streams of the images.
            donors: Clean images with labels, if the attack declares `donors`.
            memory: Where the state is kept after each step, and where the run goes on if it has one.

        Returns:
            `zero_gradients` [n], the number of steps at which the gradient was zero; with a stop or a goal, `reached`
            bool [n]; and any other per-image results of the goal.
        """
        pool = None if donors is None or not self.donors else Donors.of(donors, examples)
        return (yield from Run(self, model, examples, rng, pool).steps(memory))
