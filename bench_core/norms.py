"""The size of a perturbation in each norm, image by image, and which sizes count as inside a budget's ball.

The host's checks, attacks and metrics all measure with this function, so that they never disagree about an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .types import Budget, Norm
else:
    from .lazy import torch

TOLERANCE = 1e-5  # for float32 rounding on images in [0, 1]; an eighth of a grey level (1/255) is 4.9e-4
CHANGED = 1e-6  # of the image range: a smaller change of a value is rounding, as of `clean + (images - clean)`


def perturbation_size(delta: Tensor, norm: Norm) -> Tensor:
    """Return the norm of each perturbation.

    In L0 this is the number of pixels of which any channel changed by more than `CHANGED`, a millionth of the image
    range.

    Args:
        delta: Perturbations [n, c, h, w]: adversarial minus clean images in [0, 1].
        norm: "linf", "l2", "l1" or "l0".

    Returns:
        The norms [n], of the type of `delta`; for more digits give it in float64.
    """
    flat = delta.flatten(1)
    match norm:
        case "linf":
            return flat.abs().amax(1)
        case "l2":
            length: Tensor = flat.norm(dim=1)
            return length
        case "l1":
            return flat.abs().sum(1, dtype=torch.float64).to(delta)
        case "l0":
            return (delta.abs() > CHANGED).any(1).flatten(1).sum(1).to(delta)


def size_limit(budget: Budget) -> float:
    """Return the largest perturbation size that counts as inside the ball: eps, and a tolerance for rounding."""
    return budget.eps if budget.norm == "l0" else budget.eps + TOLERANCE * max(1.0, budget.eps)
