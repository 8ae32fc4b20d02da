"""Donors: clean images of the dataset that are mixed into an attacked image (Admix, US-MM, CFM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from bench_core.types import Examples

    from .step_rng import StepRng


@dataclass(frozen=True)
class Donors:
    """A fixed pool of clean images [p, c, h, w], and which of them each image may get: `allowed`, bool [n, p].

    An image gets donors of other classes than its own. The pool does not depend on the batch.
    """

    images: Tensor
    allowed: Tensor

    @classmethod
    def of(cls, pool: Examples, examples: Examples) -> Donors:
        """Return the donors of some examples. Raises ValueError if the pool has no image of another class."""
        allowed = pool.labels[None] != examples.labels[:, None]
        if not allowed.any(1).all():
            found = f"all {len(pool.labels)} donors have the class of an attacked image"
            raise ValueError(f"donors: {found} (try more donors, or a dataset of several classes)")
        return cls(pool.images.to(examples.images), allowed)

    def take(self, rows: slice | Tensor) -> Donors:
        """Return the donors of some rows."""
        return Donors(self.images, self.allowed[rows])

    def repeated(self, times: int) -> Donors:
        """Return the donors of rows that are repeated, image-major."""
        return Donors(self.images, self.allowed.repeat_interleave(times, 0))

    def draw(self, purpose: str, count: int, rng: StepRng) -> Tensor:
        """Draw `count` donors of each image, independently, from its own stream: [n, count, c, h, w]."""
        sizes = self.allowed.sum(1, keepdim=True)
        rank = (rng.uniform(purpose, (count,)) * sizes).long().minimum(sizes - 1)  # 0: the first allowed donor
        order = (~self.allowed).byte().argsort(dim=1, stable=True)  # the allowed donors first
        return self.images[order.gather(1, rank)]
