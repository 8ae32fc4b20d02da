"""Offsets from an image, at which estimators query gradients. Their size does not depend on that of the images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench_core.types import Norm

from .balls import mean_unit, per_image

if TYPE_CHECKING:
    from torch import Tensor

    from .run_state import RunState


LENGTHS: tuple[Norm, ...] = ("linf", "l2", "l1")  # the norms in which eps is a length; in L0 it counts pixels


def per_pixel(length: Tensor, norm: Norm, images: Tensor) -> Tensor:
    """Return how far perturbations of some lengths [n] in a norm move one pixel, [n, 1, 1, 1].

    The papers have L-inf budgets, of which a length is that of each pixel. An L2 or L1 length is spread evenly over all
    pixels of the images [n, c, h, w]. Without this an offset of the length eps would be as far outside an L2 ball as
    the image has pixels. The length of a step in L0 is that of a pixel.
    """
    values = images[0].numel()
    share = {"linf": 1.0, "l2": math.sqrt(values), "l1": float(values), "l0": 1.0}[norm]
    return per_image(length / share, images)


def mean_units(gradients: Tensor) -> Tensor:
    """Scale the gradient [n, k, c, h, w] at each point to a mean absolute value of 1; zero stays zero."""
    return mean_unit(gradients.flatten(0, 1)).view_as(gradients)


@dataclass(frozen=True)
class Neighbours:
    """`count` points, drawn uniformly from a box around the image and not clipped to [0, 1].

    The half side of the box is `radius` in L-inf, `radius / sqrt(c * h * w)` in L2 and `radius / (c * h * w)` in L1.
    """

    count: int
    radius: float
    norm: Norm

    def offsets(self, images: Tensor, run: RunState) -> Tensor:
        """Draw the offsets [n, count, c, h, w] of the neighbours from images [n, c, h, w]."""
        half = per_pixel(images.new_full((len(images),), self.radius), self.norm, images)[:, None]
        return half * (2 * run.rng.uniform("neighbours", (self.count, *images.shape[1:])) - 1)
