"""Total variation minimisation of a random part of the pixels (Guo et al., 2018; arXiv:1711.00117, sec. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from ..defence_recipe import attacker_samples, defence

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bench_core.types import Model

    from ..defended import Draws, Gradient
else:
    from bench_core.lazy import torch

SCALE = 2  # of the primal to the dual step, which was the fastest of those tried; their product is below 1/8


@dataclass(frozen=True)
class TotalVariation:
    """Reconstruct an image from a random part of its pixels as the one of least total variation.

    `min_z  sum over kept pixels of (z - x)^2 + weight TV(z)`, where TV is the sum over pixels and channels of the
    length of the gradient (isotropic, forward differences). Every pixel is kept with the probability `keep`, in all
    channels at once. The problem is convex; `iterations` steps of the primal-dual method of Chambolle and Pock (2011;
    algorithm 1) are computed.
    """

    weight: float
    keep: float
    iterations: int
    gradient: ClassVar[Gradient] = "identity"
    random: ClassVar[bool] = True

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        kept = (draws.uniform((1, *images.shape[-2:])) < self.keep).to(images)
        return minimised(images, kept, self.weight, self.iterations).clamp(0, 1)


def minimised(images: Tensor, kept: Tensor, weight: float, iterations: int) -> Tensor:
    """Minimise the total variation of images, given some of their pixels.

    Args:
        images: Images x [n, c, h, w].
        kept: 1 where a pixel is given, else 0, [n, 1, h, w].
        weight: Weight of the total variation.
        iterations: Number of iterations.

    Returns:
        Images z [n, c, h, w].
    """
    primal_step, dual_step = SCALE / 8**0.5, 0.99 / (SCALE * 8**0.5)
    mean = (images * kept).sum((2, 3), keepdim=True) / kept.sum((2, 3), keepdim=True).clamp(min=1)
    found: Tensor = images.where(kept > 0, mean)
    leading = found
    given, divisor = 2 * primal_step * kept * images, 1 + 2 * primal_step * kept
    dual = torch.zeros_like(images)[None].repeat(2, 1, 1, 1, 1)
    for _ in range(iterations):
        dual += dual_step * gradient(leading)
        dual /= (torch.hypot(*dual) / weight).clamp_(min=1)
        step = (found + primal_step * divergence(dual)).add_(given).div_(divisor)
        found, leading = step, 2 * step - found
    return found


def gradient(images: Tensor) -> Tensor:
    """Return the differences of each pixel [n, c, h, w] to the next one below and to the right, [2, n, c, h, w]."""
    found = images.new_zeros(2, *images.shape)
    torch.sub(images[:, :, 1:], images[:, :, :-1], out=found[0, :, :, :-1])
    torch.sub(images[..., 1:], images[..., :-1], out=found[1, ..., :-1])
    return found


def divergence(field: Tensor) -> Tensor:
    """Return the divergence [n, c, h, w] of a field [2, n, c, h, w]: minus the adjoint of `gradient`.

    The field must be zero where the gradient is: below the last row, and right of the last column.
    """
    down, right = field
    found: Tensor = down + right
    found[:, :, 1:] -= down[:, :, :-1]
    found[..., 1:] -= right[..., :-1]
    return found


def build(
    base: Any,
    weight: Annotated[float, Gt(0)] = 0.03,
    keep: Annotated[float, Gt(0), Le(1)] = 0.5,
    iterations: Annotated[int, Gt(0)] = 100,
    adaptive: bool = False,
    samples: Annotated[int, Gt(0)] | None = None,
    seed: Annotated[int, Ge(0)] = 0,
) -> Model:
    """Minimise the total variation of a random part of the pixels before a network (Guo et al., 2018).

    Args:
        base: The network to defend.
        weight: Weight of the total variation.
        keep: Probability that a pixel is kept.
        iterations: Iterations of the minimisation.
        adaptive: Whether an attacker takes the gradient of the network at the reconstructed images (BPDA), and
            averages over draws of the pixels (EoT).
        samples: Number of draws of an adaptive attacker, by default 10.
        seed: Seed of the draws.
    """
    from ..defended import Defended

    transform = TotalVariation(weight, keep, iterations)
    return Defended(base, transform, adaptive, attacker_samples(adaptive, samples), seed)


RECIPE = defence(
    build,
    "A network on images of minimal total variation.",
    [{"adaptive": True, "samples": 2}, {"weight": 0.1, "adaptive": True, "samples": 3}],
)
