"""The small kinds of things that make an attack: term, filter, surrogate. (The fourth, the ball, is in `balls.py`.)"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples, Model

    from .descent import Draw


@dataclass(frozen=True)
class Seen:
    """The logits a term gets: at the current `image` [n, classes], at its own `points` [n, k, classes], and at the
    `clean` image [n, classes] without a graph."""

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
        """Give the value [n] to ascend."""


class Filter(Protocol):
    """A map from gradient to gradient."""

    def start(self) -> Callable[[Tensor, int], Tensor]:
        """Begin a run with fresh memory; the function takes the gradient [n, c, h, w] and the step, from 1."""


class Surrogate(Protocol):
    """A changed network, on loan."""

    def lend(self, model: Model, draw: Draw) -> AbstractContextManager[Model]:
        """Give the changed network; on leaving, the network is as it was. Its batches are image-major, [n * k, ...]."""
