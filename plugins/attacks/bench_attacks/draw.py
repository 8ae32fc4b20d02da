"""One step's random numbers, as the images have them: on their device, in their number type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Streams


@dataclass(frozen=True)
class Draw:
    """The random numbers of `step`, like the images `like`; the images of the batch come first in every shape."""

    rng: Streams
    step: int
    like: Tensor

    def take(self, rows: slice) -> Draw:
        """Give the random numbers of some of the images."""
        return replace(self, rng=self.rng.take(rows))

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        return self.rng.normal(purpose, self.step, shape).to(self.like)

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        return self.rng.uniform(purpose, self.step, shape).to(self.like)

    def subsets(self, purpose: str, count: int, players: int, size: int) -> Tensor:
        return self.rng.subsets(purpose, self.step, count, players, size).to(self.like.device)
