"""The small kinds of things that make an attack: term, filter, surrogate, stop, goal. (The ball is in `balls.py`.)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Budget, Examples, Model

    from .draw import Draw


@dataclass(frozen=True)
class Seen:
    """What a term gets: the perturbation `delta` [n, c, h, w], the logits at the current `image` [n, classes] and at
    its own `points` [n, k, classes], all with a graph, and those at the `clean` image [n, classes] without one.

    On an ensemble by losses, logits and examples have a row for each image and member, image-major.
    """

    delta: Tensor
    image: Tensor | None
    points: Tensor
    clean: Tensor | None


class Term(Protocol):
    """Something to ascend. `points` is how many points of its own it adds for each image and step."""

    @property
    def points(self) -> int: ...

    @property
    def sees_image(self) -> bool:
        """Whether it needs the logits at the current image."""

    @property
    def sees_clean(self) -> bool:
        """Whether it needs the logits at the clean image, computed once."""

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Say why images of shape (c, h, w) will not do, if they will not."""

    def place(self, clean: Tensor, images: Tensor, draw: Draw) -> Tensor | None:
        """Give its points [n, k, c, h, w], differentiable in `images` [n, c, h, w]; None if it has none."""

    def value(self, seen: Seen, examples: Examples) -> Tensor:
        """Give the value to ascend, one for each row of the logits or of `seen.delta`."""


class Filter(Protocol):
    """A map from gradient to gradient."""

    def start(self) -> Callable[[Tensor, int], Tensor]:
        """Begin a run with fresh memory; the function takes the gradient [n, c, h, w] and the step, from 1."""


class Surrogate(Protocol):
    """A changed network, on loan."""

    def check(self, model: Model) -> str | None:
        """Say why a network cannot be changed so, if it cannot."""

    def lend(self, model: Model, draw: Draw) -> AbstractContextManager[Any]:
        """Give the changed network; on leaving, the network is as it was. Its batches are image-major, [n * k, ...]."""


class Stop(Protocol):
    """When an image has moved enough."""

    def check(self, budget: Budget) -> str | None:
        """Say why a budget will not do, if it will not."""

    def reached(self, delta: Tensor, budget: Budget) -> Tensor:
        """Say of each perturbation [n, c, h, w], not yet brought into the ball, whether it ends there: bool [n]."""


class Goal(Protocol):
    """What an image is to reach at the network; `clean` are the logits [n, classes] of the clean images, if asked."""

    @property
    def sees_clean(self) -> bool:
        """Whether it needs the logits at the clean image, computed once."""

    def past(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Tensor:
        """Say on which side of the goal the images with `logits` [n, classes] are: -1 short of it, 0 there, 1 past."""

    def report(self, logits: Tensor, clean: Tensor | None, examples: Examples) -> Mapping[str, Tensor]:
        """Give the rows [n] that tell how the run ended: `reached`, and what else there is to say."""
