"""Rounds adversarial images to the 256 levels of an 8-bit file without leaving the ball.

Rounding each pixel to its nearest level can leave the ball: half a level per pixel in L-inf, and in L2 up to
`sqrt(pixels) / 510`. That would be no failure of the attack, so these functions choose levels that are inside.

The ball is around the clean image as the network sees it. A clean image that is not on the levels, as one resized in
floats, stays as it is: then a ball smaller than the distance to the nearest levels has no 8-bit image at all, and
`unreachable` finds it before an attack runs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..norms import TOLERANCE, perturbation_size, size_limit
from ..types import Budget

LEVELS = 255  # the largest of the levels 0 to 255
SCALES = (1 - 1 / 64, 1 - 1 / 8, 0.0)  # tried first in L2, since rounding adds little to a length
HALVINGS = 20  # of the interval between two of these
SLACK = 1e-9  # of the squared radius, so that rounding errors of a sum decide nothing


def eight_bit(clean: Tensor, images: Tensor, budget: Budget) -> Tensor:
    """Round images to levels, each image inside its ball and as near to where it was as this allows.

    In L-inf, each pixel takes the nearest level within eps of the clean pixel. In L2, an image whose nearest levels are
    inside the ball takes them. Otherwise `nearest_in_l2_ball` moves single pixels towards the clean image, and in L1
    `nearest_in_l1_ball` does. In L0 rounding moves no pixel that the attack did not. An image never depends on the
    others of the batch.

    Args:
        clean: The clean images, float32 [n, c, h, w] in [0, 1].
        images: The attack's images in the balls around them, likewise.
        budget: The norm and the radius of the balls.

    Returns:
        The levels, uint8 [n, c, h, w]; the images are `from_levels` of these. If no 8-bit image is in the ball, the
        levels are those nearest to the clean pixels that have none within eps (L-inf), or to the clean image (L2).
    """
    levels = _rounded(images)
    reach = (budget.eps + size_limit(budget)) / 2  # within the limit of the check, whatever float32 rounds
    if budget.norm == "linf":
        lowest, highest = (LEVELS * (clean - reach)).ceil(), (LEVELS * (clean + reach)).floor()
        inside = torch.minimum(torch.maximum(levels, lowest), highest).clamp(0, LEVELS)
        return inside.where(lowest <= highest, _rounded(clean)).to(torch.uint8)
    result = levels.to(torch.uint8)
    if budget.norm == "l0":
        return result
    suspects = perturbation_size(levels / LEVELS - clean, budget.norm) > budget.eps * (1 - TOLERANCE)
    nearest = nearest_in_l1_ball if budget.norm == "l1" else nearest_in_l2_ball
    for index in suspects.nonzero().flatten().tolist():
        grey, moved = (LEVELS * each[index].cpu().double().numpy().ravel() for each in (clean, images))
        found = nearest(grey, moved, LEVELS * reach)
        result[index] = torch.from_numpy(found.astype(np.uint8)).view(clean.shape[1:])
    return result


def to_levels(images: Tensor) -> Tensor:
    """Return the nearest levels of images in [0, 1], uint8: the inverse of `from_levels`, with no regard to a ball."""
    return _rounded(images).to(torch.uint8)


def from_levels(levels: Tensor) -> Tensor:
    """Return the images in [0, 1] that a file of these levels is read as, float32 and contiguous, on any device.

    The divisor is a tensor, because torch multiplies by the reciprocal of a number on a GPU, which is not exact.
    """
    whole = levels.clone(memory_format=torch.contiguous_format).float()
    return whole / torch.tensor(LEVELS, dtype=torch.float32, device=levels.device)


def unreachable(clean: Tensor, budget: Budget) -> Tensor:
    """Return the distance of each clean image from the nearest 8-bit image if this is outside its ball, and else 0.

    Args:
        clean: The clean images, [n, c, h, w] in [0, 1].
        budget: The norm and the radius of the balls.

    Returns:
        Distances in the norm of the budget, [n]: zero for every image on the levels.
    """
    distance = perturbation_size(from_levels(_rounded(clean)) - clean, budget.norm)
    return distance.where(distance > (budget.eps + size_limit(budget)) / 2, torch.zeros_like(distance))


def nearest_in_l2_ball(clean: NDArray[np.float64], image: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Round one image to levels inside an L2 ball.

    Among the images of levels y, the one that minimises `|y - image|^2 + lambda |y - clean|^2` is the rounded point
    `clean + t (image - clean)` with `t = 1 / (1 + lambda)`, because the sum is separable. Its distance from the clean
    image never grows as t falls from 1, the plain rounding, to 0. So the largest t that is inside the ball is searched
    by halving, and then pixels take back levels while there is room in the ball, first those whose move costs most for
    what it gains. At the end no moved pixel can take back a level without leaving the ball.

    Args:
        clean: The centre of the ball, in levels, [d].
        image: A point of the ball, in levels, [d].
        radius: The radius of the ball, in levels.

    Returns:
        Integers in 0 to 255, [d]; the nearest ones to `clean` if no such point is in the ball.
    """

    def at(scale: float) -> NDArray[np.float64]:
        return np.rint(clean + scale * (image - clean)).clip(0, LEVELS)

    def room(point: NDArray[np.float64]) -> float:
        return float(radius**2 - np.square(point - clean).sum())

    far = nearest = at(1)
    if room(nearest) >= 0:
        return nearest
    outside = 1.0
    for inside in SCALES:
        found = at(inside)
        if room(found) >= 0:
            break
        outside, far = inside, found
    else:
        return found
    some = np.flatnonzero(found != far)  # few of the pixels differ between the two scales
    centre, moving = clean[some], image[some] - clean[some]
    allowed = room(found) + float(np.square(found[some] - centre).sum())
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        point = np.rint(centre + middle * moving).clip(0, LEVELS)
        if np.square(point - centre).sum() <= allowed:
            inside, found[some] = middle, point
        else:
            outside = middle
    while True:
        moved = np.flatnonzero(found != nearest)
        back = found[moved] + np.sign(nearest - found)[moved]
        uses = np.square(back - clean[moved]) - np.square(found[moved] - clean[moved])
        saves = np.square(found[moved] - image[moved]) - np.square(back - image[moved])
        left = room(found) - SLACK * radius**2
        fits = np.flatnonzero(uses <= left)
        if not len(fits):
            return found
        order = fits[np.argsort(-saves[fits] / np.maximum(uses[fits], 1e-12), kind="stable")]
        taken = order[: max(1, int(np.searchsorted(np.cumsum(uses[order]), left, side="right")))]
        found[moved[taken]] = back[taken]


def nearest_in_l1_ball(clean: NDArray[np.float64], image: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Round one image to levels inside an L1 ball.

    Pixels that rounding moved away from the clean image are rounded towards it instead, first those that this moves
    least from `image`, until the ball is reached.

    Args:
        clean: The centre of the ball, in levels, [d].
        image: A point of the ball, in levels, [d].
        radius: The radius of the ball, in levels.

    Returns:
        Integers in 0 to 255, [d]; the nearest ones to `clean` if no such point is in the ball.
    """
    found = np.rint(image).clip(0, LEVELS)
    inward = np.where(image > clean, np.floor(image), np.ceil(image))
    inward = np.where((inward - clean) * (image - clean) <= 0, np.rint(clean), inward)
    saves = np.abs(found - clean) - np.abs(inward - clean)
    excess = np.abs(found - clean).sum() - radius
    if excess > 0:
        places = np.flatnonzero(saves > 0)
        costs = (np.square(inward - image) - np.square(found - image))[places] / saves[places]
        order = places[np.argsort(costs, kind="stable")]
        taken = order[: 1 + int(np.searchsorted(np.cumsum(saves[order]), excess))]
        found[taken] = inward[taken]
    return found if np.abs(found - clean).sum() <= radius else np.rint(clean)


def _rounded(images: Tensor) -> Tensor:
    """Return the nearest levels, as floats."""
    return (images * LEVELS).round().clamp(0, LEVELS)
