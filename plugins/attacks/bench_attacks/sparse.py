"""The L1 and the L0 ball: exact projections onto their intersections with the image range [0, 1], and steps in them.

A perturbation of either ball is sparse, so the image range matters more than in other norms: a projection onto the
ball alone, clipped afterwards, gives away most of an L1 budget (Croce and Hein, 2021; arXiv:2103.01208, sec. 2).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .step_rng import StepRng
else:
    from bench_core.lazy import torch

STEEPEST = 0.01  # the share of values that a step in L1 changes (Tramer and Boneh, 2019; arXiv:1904.13000, app. A)


def project_l1(delta: Tensor, eps: float | Tensor, clean: Tensor | None = None) -> Tensor:
    """Return the nearest perturbations of L1 norm at most `eps` with which the images are in [0, 1].

    Each value moves by `min(cap, max(0, |delta| - t))`, where `cap` is the distance to the border of the range and t
    the smallest number that is large enough. The sum of the moves is piecewise linear in t, with kinks at `|delta|` and
    `|delta| - cap`, so t is found by sorting them: Duchi et al. (2008) without the caps, Croce and Hein (2021, prop.
    2.2) with them.

    Args:
        delta: Perturbations [n, c, h, w].
        eps: The radius, or one for each perturbation, [n].
        clean: The clean images [n, c, h, w]; None to leave out the image range.
    """
    moves = delta.flatten(1).double()
    size, cap = moves.abs(), torch.full_like(moves, math.inf)
    if clean is not None:
        image = clean.flatten(1).double()
        cap = torch.where(moves > 0, 1 - image, image)
    radius = torch.as_tensor(eps, dtype=torch.float64, device=delta.device).expand(len(delta))[:, None]
    kinks, order = torch.cat([size, (size - cap).clamp(min=0)], 1).sort(1, descending=True)
    moving = torch.cat([torch.ones_like(size), -torch.ones_like(size)], 1).gather(1, order).cumsum(1)
    total = torch.zeros_like(kinks)  # the sum of the moves if t is this kink
    total[:, 1:] = (moving[:, :-1] * (kinks[:, :-1] - kinks[:, 1:])).cumsum(1)
    too_long = total[:, -1:] > radius
    after = (total < radius).sum(1, keepdim=True).clamp(1, kinks.shape[1] - 1)  # the first kink at which it is too long
    excess = total.gather(1, after) - radius
    level = kinks.gather(1, after) + excess / moving.gather(1, after - 1).clamp(min=1)
    level = level.where(too_long, 0.0)
    inside = torch.minimum(cap, (size - level).clamp(min=0)) * moves.sign()
    return inside.where(radius > 0, 0.0).to(delta).view_as(delta)


def project_l0(delta: Tensor, eps: float | Tensor, clean: Tensor | None = None) -> Tensor:
    """Return the nearest perturbations of at most `eps` pixels with which the images are in [0, 1].

    A pixel counts once, whichever of its channels change. Kept are the pixels that bring the perturbation nearest to
    the given one: not the longest, since a pixel that the image range cuts off gains less (Croce and Hein, 2019;
    arXiv:1909.05040, sec. 4.1).

    Args:
        delta: Perturbations [n, c, h, w].
        eps: The number of pixels, or one for each perturbation, [n]. It is rounded down.
        clean: The clean images [n, c, h, w]; None to leave out the image range.
    """
    possible = delta if clean is None else (clean + delta).clamp(0, 1) - clean
    gain = (delta.square() - (delta - possible).square()).sum(1).flatten(1)
    return possible * among_largest(gain, eps).view(len(delta), 1, *delta.shape[2:])


def among_largest(values: Tensor, count: float | Tensor) -> Tensor:
    """Return which values [n, k] are among the `count` largest of their row, bool; the first of equal ones."""
    rank = values.argsort(dim=1, descending=True, stable=True).argsort(1)
    return rank < torch.as_tensor(count, device=values.device).floor().expand(len(values))[:, None]


def steepest_l1(gradient: Tensor, images: Tensor | None = None) -> Tensor:
    """Return steps of L1 length 1: equal changes of the hundredth of the values with the largest gradients.

    The steepest step in L1 would change a single value. Values that are at the border of the range, and would leave it,
    are left out (Tramer and Boneh, 2019). Zero where the gradient is zero.
    """
    if images is not None:
        blocked = ((images <= 0) & (gradient < 0)) | ((images >= 1) & (gradient > 0))
        gradient = gradient.masked_fill(blocked, 0)
    free = gradient.flatten(1)
    signs = free.sign() * among_largest(free.abs(), math.ceil(STEEPEST * free.shape[1]))
    return (signs / signs.abs().sum(1, keepdim=True).clamp(min=1)).view_as(gradient)


def sample_l1(rng: StepRng, like: Tensor, eps: float) -> Tensor:
    """Return perturbations drawn uniformly from the L1 ball: ratios of exponential numbers, with random signs."""
    signed = 2 * rng.uniform("start", like.shape[1:]).flatten(1).double() - 1
    sizes = -torch.log1p(-signed.abs())
    rest = -torch.log1p(-rng.uniform("start radius", ()).double())[:, None]
    return (eps * signed.sign() * sizes / (sizes.sum(1, keepdim=True) + rest)).to(like).view_as(like)


def sample_l0(rng: StepRng, like: Tensor, eps: float) -> Tensor:
    """Return perturbations after which `eps` random pixels of images `like` are uniform in [0, 1]."""
    chosen = among_largest(rng.uniform("start pixels", like.shape[2:]).flatten(1), eps)
    return (rng.uniform("start", like.shape[1:]) - like) * chosen.view(len(like), 1, *like.shape[2:])
