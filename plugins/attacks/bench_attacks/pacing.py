"""The step sizes of an attack with a goal: an image that overshoots goes back and tries half of the step."""

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
    """The start, direction and length of each image's next step.

    An image that went past its goal goes back to the start of its last step and tries half of that step.
    """

    images: Tensor  # [n, c, h, w]
    direction: Tensor  # [n, c, h, w], the filtered gradient at these images
    size: Tensor  # [n], in units of the image range

    @classmethod
    def init(cls, images: Tensor, size: float) -> Pace:
        """Return the pace before the first step."""
        return cls(images, torch.zeros_like(images), images.new_full((len(images),), size))

    def update(self, images: Tensor, direction: Tensor, side: Tensor, first: bool) -> Pace:
        """Return the pace of the next step.

        Args:
            images: The current images [n, c, h, w].
            direction: The filtered gradient at these images [n, c, h, w].
            side: Where each image is [n]: -1 before its goal, 0 at it, 1 past it.
            first: Whether this is the first step. No image has moved yet, so none goes back.
        """
        if first:
            return Pace(images, direction, self.size)
        past = side > 0
        back = per_image(past, images)
        size = (self.size / 2).where(past, self.size)
        return Pace(self.images.where(back, images), self.direction.where(back, direction), size)
