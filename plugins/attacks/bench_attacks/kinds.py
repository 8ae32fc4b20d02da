"""The building blocks of a gradient attack, one Protocol for each kind: terms, estimators, filters, surrogates, goals.

A building block is a frozen dataclass and stores nothing between steps. A kind with memory has `init`, which returns
its state at the start of a run, and a pure method that returns its result with the next state, as in optax.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Budget, Examples, Model, Rejection

    from .run_state import RunState


@dataclass(frozen=True)
class TermInputs:
    """The inputs of a term's value: the perturbation, and the logits at the term's points.

    For an ensemble that averages losses, the logits and examples have one row for each image and member, image-major.
    """

    delta: Tensor  # [n, c, h, w], with a graph
    image: Tensor | None  # [n, classes], logits at the current image, with a graph; None unless they are computed
    points: Tensor  # [n, k, classes], logits at the term's own points, with a graph
    clean: Tensor | None  # [n, classes], logits at the clean image, without a graph; None unless they are computed


class Term(Protocol):
    """A summand of the objective that the attack maximises. The points of all terms share one forward pass."""

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


@dataclass(frozen=True)
class Query:
    """A request by an estimator for the gradient of the objective at each of the `points` [n, k, c, h, w]."""

    points: Tensor


@dataclass(frozen=True)
class Answer:
    """The answer to a Query. The points of one image do not influence each other."""

    gradients: Tensor  # [n, k, c, h, w]
    values: Tensor  # [n, k], the objective: the sum of the terms
    logits: Tensor | None  # [n, k, members, classes] at the points, if a term or the goal uses them


class Estimator(Protocol):
    """A rule that computes the gradient of a step from gradients at one or more points."""

    @property
    def query_points(self) -> int:
        """The number of points of each image in all queries of one step."""

    def init(self, images: Tensor) -> Any:
        """Return the state at the start of a run, with one row for each of the images [n, c, h, w]."""

    def estimate(self, images: Tensor, state: Any, run: RunState) -> Generator[Query, Answer, tuple[Tensor, Any]]:
        """Yield queries, receive their answers, and return the gradient [n, c, h, w] at `images` and the next state."""


class Filter(Protocol):
    """A transformation of the gradient. The filters of an attack are applied in the order listed."""

    def init(self, images: Tensor) -> Any:
        """Return the state at the start of a run, with one row for each of the images [n, c, h, w]."""

    def update(self, gradient: Tensor, state: Any, run: RunState) -> tuple[Tensor, Any]:
        """Return the filtered gradient [n, c, h, w] and the next state."""


class Surrogate(Protocol):
    """A change of the network while a gradient is computed."""

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
