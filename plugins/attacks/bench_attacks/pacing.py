"""Steps that are halved where an image went past its goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .balls import per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from bench_core.lazy import torch


@dataclass(frozen=True)
class Pace:
    """From where each image makes its next step, in which direction, and how long the step is.

    An image that went past its goal goes back to where it was and tries half of the step again.
    """

    images: Tensor  # [n, c, h, w]
    direction: Tensor  # [n, c, h, w], the filtered gradient there
    size: Tensor  # [n]

    @classmethod
    def init(cls, images: Tensor, size: float) -> Pace:
        """Return the pace before the first step."""
        return cls(images, torch.zeros_like(images), images.new_full((len(images),), size))

    def update(self, images: Tensor, direction: Tensor, side: Tensor, first: bool) -> Pace:
        """Return the pace of the next step.

        Args:
            images: The current images [n, c, h, w].
            direction: The filtered gradient there.
            side: On which side of the goal each image is [n]: -1 short of it, 0 at it, 1 past.
            first: Whether this is the first step, before which no image has moved and so none goes back.
        """
        if first:
            return Pace(images, direction, self.size)
        past = side > 0
        back = per_image(past, images)
        size = (self.size / 2).where(past, self.size)
        return Pace(self.images.where(back, images), self.direction.where(back, direction), size)
