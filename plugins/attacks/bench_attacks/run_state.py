"""The state of a run that the building blocks of an attack may read at a step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .step_rng import StepRng


@dataclass(frozen=True)
class RunState:
    """The state of a run at the beginning of a step, with one row for each image. Do not change the tensors in place.

    `momentum` and `gradient` are not normalised: scale them with `balls.unit` before moving an image along them.
    """

    clean: Tensor  # the clean images [n, c, h, w]
    rng: StepRng  # this step's random numbers
    step_size: Tensor  # [n], the length of this step; shorter than the budget's once an image overshot its goal
    momentum: Tensor  # [n, c, h, w], the last step's gradient after all filters; zero at the first step
    gradient: Tensor  # [n, c, h, w], the last step's gradient before the filters; zero at the first step

    @property
    def step(self) -> int:
        """The number of the step, counted from 1."""
        return self.rng.step

    def take(self, rows: slice) -> RunState:
        """Return the state of a slice of the rows."""
        return RunState(
            self.clean[rows], self.rng.take(rows), self.step_size[rows], self.momentum[rows], self.gradient[rows]
        )

    def at_points(self, points: int, query: int) -> RunState:
        """Return the state for `points` points of each image, image-major [n * points, ...], in the given query."""
        rng = replace(self.rng, points=points, query=query)
        if points == 1:
            return replace(self, rng=rng)
        rows = (self.clean, self.step_size, self.momentum, self.gradient)
        clean, step_size, momentum, gradient = (tensor.repeat_interleave(points, 0) for tensor in rows)
        return RunState(clean, rng, step_size, momentum, gradient)
