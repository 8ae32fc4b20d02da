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

    def at_rows(self, owners: slice | Tensor, points: int, query: int, places: slice | Tensor) -> RunState:
        """Return the state for some of the points of a query.

        Args:
            owners: The row of each of these points.
            points: The number of points of each row.
            query: The number of the query within the step.
            places: The place of each of these points among all of them, image-major.
        """
        rng = replace(self.rng, query=query).repeated(points).take(places)
        return RunState(
            self.clean[owners], rng, self.step_size[owners], self.momentum[owners], self.gradient[owners],
            self.members, self.pool and self.pool.take(owners),
        )  # fmt: skip

    def repeated(self, times: int) -> RunState:
        """Return the state of rows that are repeated, image-major; each copy has its own random numbers."""
        if times == 1:
            return self
        rows = (self.clean, self.step_size, self.momentum, self.gradient)
        clean, step_size, momentum, gradient = (tensor.repeat_interleave(times, 0) for tensor in rows)
        pool = self.pool and self.pool.repeated(times)
        return RunState(clean, self.rng.repeated(times), step_size, momentum, gradient, self.members, pool)
