"""The building blocks of a gradient attack, one Protocol for each kind.

A step of the loop: the *estimator* queries points; every point of a query goes through the *views*; the *loss* and the
further *terms* are computed there, on a network that *surrogates* have changed; *filters* transform the estimated
gradient; the *step rule* moves the image. A *preparation* runs once, before the first step.

A building block is a frozen dataclass and stores nothing between steps. A kind with memory has `init`, which returns
its state at the start of a run, and a pure method that returns its result with the next state, as in optax.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from .messages import Answer, Outputs, Passes, Query, TermInputs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench_core.types import Budget, Examples, Model, Rejection

    from .run_state import RunState

__all__ = [
    "Answer", "Estimator", "Filter", "Goal", "Loss", "Outputs", "Passes", "Preparation", "Query", "StepRule", "Stop",
    "Surrogate", "Tap", "Term", "TermInputs", "View",
]  # fmt: skip


class Loss(Protocol):
    """What the attack maximises at each point: usually the classification loss, or a function of inner features."""

    def value(self, outputs: Outputs, examples: Examples) -> Tensor:
        """Return the values [n, k] of the outputs at the k points of each image."""


class View(Protocol):
    """Copies of the input, at each of which the loss is computed. Views multiply: each makes copies of the last's."""

    @property
    def count(self) -> int:
        """The number k of copies of each image."""

    @property
    def through(self) -> bool:
        """Whether the gradient goes through the copying; otherwise that at the copy is used as the image's."""

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why images of shape (c, h, w) cannot be copied, or None if they can."""

    def apply(self, images: Tensor, run: RunState) -> Tensor:
        """Return the copies [n, k, c', h', w'] of images [n, c, h, w], differentiable if `through`."""


class Term(Protocol):
    """A further summand of the objective, with points of its own. All points of a query share one forward pass."""

    @property
    def count(self) -> int:
        """The number k of points that the term adds for each image and step."""

    @property
    def uses_image(self) -> bool:
        """Whether the term needs the logits at the current image."""

    @property
    def uses_clean(self) -> bool:
        """Whether the logits at the clean image are needed. They are computed once per run."""

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why images of shape (c, h, w) cannot be attacked, or None if they can."""

    def points(self, images: Tensor, run: RunState) -> Tensor | None:
        """Return the points [n, k, c, h, w], differentiable in `images` [n, c, h, w], or None if `count` is 0."""

    def value(self, inputs: TermInputs, examples: Examples) -> Tensor:
        """Return the value to maximise, one for each row of the logits or of `inputs.delta`."""


class Estimator(Protocol):
    """A rule that computes the gradient of a step from gradients at one or more points."""

    def passes(self, step: int, members: int) -> Passes:
        """Return the points of each image in all queries of a step, for a source of so many networks.

        A point that goes through one member only counts 1 / members.
        """

    def init(self, images: Tensor) -> Any:
        """Return the state at the start of a run, with one row for each of the images [n, c, h, w]."""

    def estimate(self, images: Tensor, state: Any, run: RunState) -> Generator[Query, Answer, tuple[Tensor, Any]]:
        """Yield queries, receive their answers, and return the gradient [n, c, h, w] at `images` and the next state."""


class Preparation(Protocol):
    """What a loss needs and is computed once per run. It becomes `Outputs.data`."""

    def passes(self, members: int) -> Passes:
        """Return the points of each image in all queries, as `Estimator.passes` does."""

    def prepare(self, run: RunState) -> Generator[Query, Answer, Tensor]:
        """Yield queries, receive their answers, and return a tensor with one row for each image."""


class Filter(Protocol):
    """A transformation of the gradient. The filters of an attack are applied in the order listed."""

    def init(self, images: Tensor) -> Any:
        """Return the state at the start of a run, with one row for each of the images [n, c, h, w]."""

    def update(self, gradient: Tensor, state: Any, run: RunState) -> tuple[Tensor, Any]:
        """Return the filtered gradient [n, c, h, w] and the next state."""


class StepRule(Protocol):
    """How an image moves, given the ball's steepest direction. The result is projected into the ball afterwards."""

    def check(self, budget: Budget) -> Rejection | None:
        """Return why a budget cannot be used, or None if it can."""

    def init(self, images: Tensor) -> Any:
        """Return the state at the start of a run, with one row for each of the images [n, c, h, w]."""

    def move(self, direction: Tensor, length: float | Tensor, state: Any, run: RunState) -> tuple[Tensor, Any]:
        """Return what is added to the images [n, c, h, w], usually `length * direction`, and the next state."""


class Tap(Protocol):
    """An inner layer of the network, whose features a loss or a query uses.

    They are the outputs of a module; with the attribute `of_input = True`, its inputs.
    """

    def check(self, model: Model) -> Rejection | None:
        """Return why a network has no such layer, or None if it has one."""

    def module(self, model: Model) -> nn.Module:
        """Return the module that has the features. Raises ValueError if there is none."""


class Surrogate(Protocol):
    """A change of the network while a gradient is computed. `run.clean` and `run.donors` have other images."""

    @property
    def forwards(self) -> int:
        """The number of further images that go through the network for each point of a query."""

    def check(self, model: Model) -> Rejection | None:
        """Return why a network cannot be changed in this way, or None if it can."""

    def apply(self, model: Any, run: RunState) -> AbstractContextManager[Any]:
        """Return a context manager that yields the changed network and on exit restores the given one.

        The changed network gets complete image-major batches [n * k, c, h, w], where n is the number of rows of `run`.
        """


class Stop(Protocol):
    """A condition on the perturbation. An image that meets it is not changed any more."""

    def check(self, budget: Budget) -> Rejection | None:
        """Return why a budget cannot be used, or None if it can."""

    def reached(self, delta: Tensor, budget: Budget) -> Tensor:
        """Return which perturbations [n, c, h, w], not yet projected into the ball, meet the condition: bool [n]."""


class Goal(Protocol):
    """A condition on the network's output. An image that meets it is not changed any more.

    `clean` are the logits [n, classes] at the clean images, or None unless the goal uses them.
    """

    @property
    def uses_clean(self) -> bool:
        """Whether the logits at the clean image are needed. They are computed once per run."""

    def side(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Tensor:
        """Compare images that have `logits` [n, classes] with the goal, [n]: -1 before it, 0 at it, 1 past it."""

    def report(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Mapping[str, Tensor]:
        """Return per-image results [n] at the end of a run: `reached` (bool), and any others, by name."""
