"""What a part of an attack may read of the run at a step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .step_rng import StepRng


@dataclass(frozen=True)
class RunState:
    """The run at the beginning of a step; every row is one image's own. Parts must not change the tensors.

    `momentum` and `gradient` are not normalised: a part that moves an image along them scales them first (`unit`).
    """

    clean: Tensor  # the clean images [n, c, h, w]
    rng: StepRng  # this step's random numbers
    step_size: Tensor  # [n], the length of the step to come; shorter than the budget's once an image overshot its goal
    momentum: Tensor  # [n, c, h, w], the last step's gradient after all filters; zero at the first step
    gradient: Tensor  # [n, c, h, w], the last step's gradient before the filters; zero at the first step

    @property
    def step(self) -> int:
        """The number of the step, from 1."""
        return self.rng.step

    def take(self, rows: slice) -> RunState:
        """Return the state of the rows `rows`."""
        return RunState(
            self.clean[rows], self.rng.take(rows), self.step_size[rows], self.momentum[rows], self.gradient[rows]
        )

    def at_points(self, points: int, ask: int) -> RunState:
        """Return the state for `points` points of each image, image-major: [n * points, ...]."""
        rng = replace(self.rng, points=points, ask=ask)
        if points == 1:
            return replace(self, rng=rng)
        rows = (self.clean, self.step_size, self.momentum, self.gradient)
        clean, step_size, momentum, gradient = (tensor.repeat_interleave(points, 0) for tensor in rows)
        return RunState(clean, rng, step_size, momentum, gradient)
