"""Moves images that were made elsewhere to the nearest 8-bit images inside their balls."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..norms import CHANGED, perturbation_size, size_limit
from ..types import Budget
from .quantise import LEVELS, eight_bit, from_levels

WHOLE = 1e-3  # levels; float32 rounds values in [0, 1] by less than a hundredth of this
HALVINGS = 60  # of an interval of at most 255 levels; after them float64 has no number between its ends


def moved_inside(clean: Tensor, images: Tensor, budget: Budget) -> Tensor:
    """Return the nearest images of 8 bits that are inside the balls; images inside are only rounded.

    In L0 all but the `eps` pixels that changed most become those of the clean image, whether or not they are levels.

    Args:
        clean: The clean images, float32 [n, c, h, w] in [0, 1].
        images: The images to move, likewise.
        budget: The norm and the radius of the balls.
    """
    if budget.norm == "l1":
        images = images.clone()
        for index in (perturbation_size(images - clean, "l1") > size_limit(budget)).nonzero().flatten().tolist():
            grey, moved = (in_levels(each[index]) for each in (clean, images))
            found = nearest_levels_in_l1_ball(grey, moved, LEVELS * budget.eps)
            images[index] = from_levels(torch.from_numpy(found.astype(np.uint8)).view(clean.shape[1:])).to(images)
    rounded = from_levels(eight_bit(clean, images, budget))
    return rounded if budget.norm != "l0" else most_changed(clean, rounded, int(budget.eps))


def in_levels(image: Tensor) -> NDArray[np.float64]:
    """Return the values of an image in levels, [d]. Those that are whole but for the rounding of float32 are whole."""
    values = LEVELS * image.cpu().double().numpy().ravel()
    return np.where(np.abs(values - np.rint(values)) < WHOLE, np.rint(values), values)


def most_changed(clean: Tensor, images: Tensor, count: int) -> Tensor:
    """Return images [n, c, h, w] that keep only the `count` pixels that changed most, in Euclidean length."""
    delta = images - clean
    changed = (delta.abs() > CHANGED).any(1).flatten(1)
    lengths = delta.double().square().sum(1).flatten(1).where(changed, 0.0)
    rank = lengths.argsort(dim=1, descending=True, stable=True).argsort(1)
    kept = (rank < count) & changed
    return images.where(kept.view(len(images), 1, *images.shape[2:]), clean)


def nearest_levels_in_l1_ball(
    clean: NDArray[np.float64], image: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Return the levels in an L1 ball that are nearest to an image, in Euclidean distance.

    As in the projection onto the ball (Duchi et al., 2008), every value moves towards the clean image by the same
    amount, but not past it. The amount is the smallest after which the rounded image is inside. Some values round
    differently just below this amount: these move back out, in order, while the image stays inside. If the clean
    values are levels, no other levels in the ball are nearer.

    Args:
        clean: The centre of the ball, in levels, [d].
        image: A point, in levels, [d].
        radius: The radius of the ball, in levels.

    Returns:
        Integers in 0 to 255, [d]; those nearest to `clean` if no such point is in the ball.
    """
    move = image - clean

    def at(less: float) -> NDArray[np.float64]:
        left: NDArray[np.float64] = np.sign(move) * np.maximum(np.abs(move) - less, 0)
        return np.rint(clean + left).clip(0, LEVELS)

    def size(point: NDArray[np.float64]) -> float:
        return float(np.abs(point - clean).sum())

    outside, inside = 0.0, float(np.abs(move).max())
    if size(at(outside)) <= radius:
        return at(outside)
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        outside, inside = (outside, middle) if size(at(middle)) <= radius else (middle, inside)
    found, further = at(inside), at(outside)
    back = np.flatnonzero(found != further)
    uses = np.abs(further - clean)[back] - np.abs(found - clean)[back]
    taken = back[np.cumsum(uses) <= radius - size(found)]
    found[taken] = further[taken]
    return found
