"""The kinds of part that make up a gradient attack, one Protocol each. A part is a frozen dataclass.

Parts keep nothing between steps. A kind with a memory has `init`, which returns the state at the start of a run, and a
pure method that returns the next state with its result, as the transformations of optax have.
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
    """What a term's value is computed from: the perturbation, and the logits of the points that it asked for.

    On an ensemble by losses, logits and examples have one row for each image and member, image-major.
    """

    delta: Tensor  # [n, c, h, w], with a graph
    image: Tensor | None  # [n, classes], logits at the current image, with a graph; None unless the term uses them
    points: Tensor  # [n, k, classes], logits at the term's own points, with a graph
    clean: Tensor | None  # [n, classes], logits at the clean image, without a graph


class Term(Protocol):
    """A value to ascend. The attack ascends the sum of its terms; all their points share one forward pass."""

    @property
    def count(self) -> int:
        """How many points of its own it adds for each image and step."""

    @property
    def uses_image(self) -> bool:
        """Whether it needs the logits at the current image."""

    @property
    def uses_clean(self) -> bool:
        """Whether it needs the logits at the clean image, which are computed once a run."""

    def check(self, shape: tuple[int, int, int]) -> Rejection | None:
        """Return why images of shape (c, h, w) cannot be attacked, None if they can."""

    def points(self, images: Tensor, run: RunState) -> Tensor | None:
        """Return its points [n, k, c, h, w], differentiable in `images` [n, c, h, w]; None if it has none."""

    def value(self, inputs: TermInputs, examples: Examples) -> Tensor:
        """Return the value to ascend, one for each row of the logits or of `inputs.delta`."""


@dataclass(frozen=True)
class Ask:
    """A request of an estimator: the gradient of the terms' sum at each of the `points` [n, k, c, h, w]."""

    points: Tensor


@dataclass(frozen=True)
class Answer:
    """The answer to an Ask; the points of one image do not influence each other."""

    gradients: Tensor  # [n, k, c, h, w]
    values: Tensor  # [n, k], the terms' sum
    logits: Tensor | None  # [n, k, members, classes] at the points, if a term or the goal uses them


class Estimator(Protocol):
    """How the gradient of a step is computed from gradients at one or more points."""

    @property
    def asked_points(self) -> int:
        """How many points of each image it asks about in one step, over all asks."""

    def init(self, images: Tensor) -> Any:
        """Return its state at the start of a run, with one row for each of the images [n, c, h, w]."""

    def estimate(self, images: Tensor, state: Any, run: RunState) -> Generator[Ask, Answer, tuple[Tensor, Any]]:
        """Yield asks, receive their answers, and return the gradient [n, c, h, w] at `images` and the next state."""


class Filter(Protocol):
    """A map from gradient to gradient. The filters of an attack are applied in the order listed."""

    def init(self, images: Tensor) -> Any:
        """Return its state at the start of a run, with one row for each of the images [n, c, h, w]."""

    def update(self, gradient: Tensor, state: Any, run: RunState) -> tuple[Tensor, Any]:
        """Return the filtered gradient [n, c, h, w] and the next state."""


class Surrogate(Protocol):
    """A change of the network for the length of one gradient."""

    def check(self, model: Model) -> Rejection | None:
        """Return why a network cannot be changed in this way, None if it can."""

    def apply(self, model: Any, run: RunState) -> AbstractContextManager[Any]:
        """Return a context manager that yields the changed network and on exit restores the given one.

        The changed network gets image-major batches [n * k, c, h, w], n as in `run`, which are never split.
        """


class Stop(Protocol):
    """A condition on the perturbation, at which an image stays where it is."""

    def check(self, budget: Budget) -> Rejection | None:
        """Return why a budget cannot be used, None if it can."""

    def reached(self, delta: Tensor, budget: Budget) -> Tensor:
        """Return which perturbations [n, c, h, w], not yet projected into the ball, end here: bool [n]."""


class Goal(Protocol):
    """A condition on the network's output, at which an image stays where it is. `clean` are the clean logits."""

    @property
    def uses_clean(self) -> bool:
        """Whether it needs the logits at the clean image, which are computed once a run."""

    def side(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Tensor:
        """Return on which side of the goal images with `logits` [n, classes] are: -1 short of it, 0 at it, 1 past."""

    def report(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Mapping[str, Tensor]:
        """Return rows [n] about the end of a run: `reached`, and any others."""
