"""The state of a run that the building blocks of an attack may read at a step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .donors import Donors
    from .step_rng import StepRng


@dataclass(frozen=True)
class RunState:
    """The state of a run at the beginning of a step, with one row for each image. Do not change the tensors in place.

    `momentum` and `gradient` are not normalised: scale them with `balls.mean_unit` before moving an image along them.
    """

    clean: Tensor  # the clean images [n, c, h, w]
    rng: StepRng  # this step's random numbers
    step_size: Tensor  # [n], the length of this step; shorter than the budget's once an image overshot its goal
    momentum: Tensor  # [n, c, h, w], the last step's gradient after all filters; zero at the first step
    gradient: Tensor  # [n, c, h, w], the last step's gradient before the filters; zero at the first step
    members: int = 1  # the number of networks of the source
    pool: Donors | None = None  # None unless the attack declares donors

    @property
    def step(self) -> int:
        """The number of the step, counted from 1; negative in a warm-up, 0 in a preparation."""
        return self.rng.step

    def donors(self, purpose: str, count: int) -> Tensor:
        """Draw `count` clean images of other classes for each row, [n, count, c, h, w].

        Raises:
            ValueError: The attack declares no donors (`GradientAttack.with_donors`).
        """
        if self.pool is None:
            raise ValueError("the attack declares no donors (try attack.with_donors(COUNT) in the part)")
        return self.pool.draw(purpose, count, self.rng)

    def take(self, rows: slice | Tensor) -> RunState:
        """Return the state of some of the rows."""
        return RunState(
            self.clean[rows], self.rng.take(rows), self.step_size[rows], self.momentum[rows], self.gradient[rows],
            self.members, self.pool and self.pool.take(rows),
        )  # fmt: skip

    def at_points(self, points: int, query: int) -> RunState:
        """Return the state for `points` points of each image, image-major [n * points, ...], in the given query."""
        return replace(self, rng=replace(self.rng, query=query)).repeated(points)

    def repeated(self, times: int) -> RunState:
        """Return the state of rows that are repeated, image-major; each copy has its own random numbers."""
        if times == 1:
            return self
        rows = (self.clean, self.step_size, self.momentum, self.gradient)
        clean, step_size, momentum, gradient = (tensor.repeat_interleave(times, 0) for tensor in rows)
        pool = self.pool and self.pool.repeated(times)
        return RunState(clean, self.rng.repeated(times), step_size, momentum, gradient, self.members, pool)
